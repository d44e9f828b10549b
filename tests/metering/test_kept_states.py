"""A rest that was read by a gauge, looked at again: by the rules of a recording."""

from dataclasses import replace

import pytest

from scheduler.domain.idleness import IdlePolicy, IdleRule
from scheduler.domain.units import MS_PER_MINUTE, AttemptId, GpuUuid, Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.idle_clock import IdleClock, IdleWatch
from scheduler.metering.judge import judge
from scheduler.metering.kept_states import look_again
from scheduler.metering.recorded import Recorded
from scheduler.metering.use import Stretch, Use

GPU, ATTEMPT = GpuUuid("GPU-a"), AttemptId("a-1")
RULE = IdleRule("test", policy=IdlePolicy(startup_ms=0))
MINUTES = 40


def kept(counts: list[int | None]) -> list[Stretch]:
    """A minute each, read every 15 s by a gauge that found nothing, beside so many processes."""
    use = Use(1, MS_PER_MINUTE, utilization_ms=MS_PER_MINUTE, percent_max=0, idle_held_ms=MS_PER_MINUTE)
    return [
        Stretch(
            GPU,
            Instant(minute * MS_PER_MINUTE),
            Instant((minute + 1) * MS_PER_MINUTE),
            minute,
            count,
            ATTEMPT,
            IdleState.IDLE_HELD,
            use,
        )
        for minute, count in enumerate(counts)
    ]


def recorded(counts: list[int | None]) -> list[Recorded]:
    """The same, as rows."""
    rows = [Recorded(Instant(0), GPU, (ATTEMPT,), percent=0, process_count=counts[0])]
    for minute, count in enumerate(counts):
        ends = (Instant(minute * MS_PER_MINUTE + second * 1_000) for second in (15, 30, 45, 60))
        rows += [Recorded(end, GPU, (ATTEMPT,), percent=0, process_count=count) for end in ends]
    return rows


@pytest.mark.parametrize(
    ("counts", "is_believed"),
    [
        ([1] * MINUTES, True),
        ([0] * 20 + [1] + [0] * 19, False),
        ([1] * 25 + [0] * 15, False),
        ([None] * 10 + [1] * 10 + [None] * 10 + [1] * 10, True),
    ],
    ids=["one that stays", "one that came and went", "one that ended", "one that is not always read"],
)
def test_a_process_that_came_or_went_is_as_much_a_use_here_as_in_a_recording(
    counts: list[int | None], is_believed: bool
) -> None:
    clock = IdleClock(Instant(0), since=Instant(0), rested_ms=MINUTES * MS_PER_MINUTE)
    watch = IdleWatch(ATTEMPT, Instant(MINUTES * MS_PER_MINUTE), replace(clock, warned_at=(Instant(1), Instant(2))))
    look = look_again({GPU: kept(counts)}, watch, RULE, gauge_ms=15_000)
    assert look.is_believed is look.is_proven is is_believed
    (attempt,) = judge(recorded(counts), RULE).attempts
    assert bool(attempt.stopped) is is_believed
