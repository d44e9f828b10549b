"""What `allot gpu judge --json` says of each GPU, where attempts move between them."""

from scheduler.domain.idleness import IdlePolicy, IdleRule
from scheduler.domain.units import AttemptId, GpuUuid, Instant
from scheduler.entrypoints.cli.judgements import as_object
from scheduler.metering.judge import judge
from scheduler.metering.recorded import Recorded

A = AttemptId("a")
RULE = IdleRule("test", policy=IdlePolicy(startup_ms=0, is_dry_run=False))


def rows(uuid: str, held: range) -> list[Recorded]:
    """At rest, every 15 s for 150 minutes."""
    return [Recorded(Instant(15_000 * n), GpuUuid(uuid), (A,) if n in held else (), percent=0) for n in range(600)]


def test_a_gpu_tells_of_the_launch_that_had_it_and_not_of_others_of_that_name() -> None:
    found = as_object(judge([*rows("GPU-a", range(240)), *rows("GPU-b", range(300, 600))], RULE), RULE)
    (attempt,) = found["attempts"]
    told = {gpu["gpu_uuid"]: (gpu["stopped_at"], gpu["returned_gpu_hours"]) for gpu in found["gpus"]}
    assert told == {
        "GPU-a": (["1970-01-01T00:30:00Z"], round(119 * 15 / 3_600, 4)),
        "GPU-b": (["1970-01-01T01:45:00Z"], round(179 * 15 / 3_600, 4)),
    }
    assert attempt["stopped_at"] == [at for stopped_at, _ in told.values() for at in stopped_at]
    assert [gpu["attempts"] for gpu in found["gpus"]] == [["a"], ["a"]]
    assert sum(len(gpu["warned_at"]) for gpu in found["gpus"]) == len(attempt["warned_at"])
