"""Attempts that share a device in time, in recordings in which each has rows of its own."""

from itertools import pairwise

import pytest

from scheduler.domain.idleness import IdlePolicy, IdleRule
from scheduler.domain.units import MS_PER_MINUTE, AttemptId, GpuUuid, Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.judge import judge
from scheduler.metering.recorded import Recorded, in_order

A, B, C = AttemptId("a"), AttemptId("b"), AttemptId("c")
RULE = IdleRule("test", policy=IdlePolicy(startup_ms=0))
ROOM = (("GPU-a", B), ("GPU-b", A), ("GPU-c", A))


def row(second: int, attempt_id: AttemptId, percent: int = 0) -> Recorded:
    return Recorded(Instant(second * 1_000), GpuUuid("GPU-a"), (attempt_id,), percent=percent)


def holders(*rows: Recorded) -> list[tuple[AttemptId, ...]]:
    return [each.attempts for each in in_order(rows)]


def test_attempts_whose_rows_alternate_share_the_device() -> None:
    found = holders(*(row(15 * n, (A, B, C)[n % 3]) for n in range(9)))
    assert found[2:7] == [(A, B, C)] * 5


def test_an_attempt_that_comes_back_did_not_have_it_meanwhile() -> None:
    first, other, again = range(20), range(20, 60), range(60, 80)
    rows = [row(15 * n, A) for n in (*first, *again)] + [row(15 * n, B) for n in other]
    assert holders(*rows) == [(A,)] * 20 + [(B,)] * 40 + [(A,)] * 20


def test_work_on_a_shared_device_stops_neither_and_its_rest_both() -> None:
    at_work = [row(15 * n, (A, B)[n % 2], 60 if n % 40 < 4 else 0) for n in range(480)]
    at_rest = [row(15 * n, (A, B)[n % 2]) for n in range(480)]
    busy, idle = judge(at_work, RULE).attempts, judge(at_rest, RULE).attempts
    assert [(each.attempt_id, each.stopped) for each in busy] == [(A, ()), (B, ())]
    assert [(each.attempt_id, each.due[0].at // MS_PER_MINUTE) for each in idle] == [(A, 30), (B, 30)]


def test_a_name_that_is_used_again_on_another_device_is_another_launch() -> None:
    """A pod of a StatefulSet, as Prometheus tells of it: its GPUs were never held at once."""
    first = [Recorded(Instant(15_000 * n), GpuUuid("GPU-a"), (A,) if n < 240 else (), percent=0) for n in range(600)]
    again = [Recorded(Instant(15_000 * n), GpuUuid("GPU-b"), (A,) if n >= 300 else (), percent=0) for n in range(600)]
    (attempt,) = judge([*first, *again], RULE).attempts
    assert [event.at // MS_PER_MINUTE for event in attempt.stopped] == [30, 75 + 30]
    assert attempt.returned_gpu_ms == (240 - 1 - 120 + 300 - 1 - 120) * 15_000
    assert [spell.state for spell in attempt.spells] == [IdleState.IDLE_HELD, IdleState.UNKNOWN, IdleState.IDLE_HELD]
    assert all(before.end == after.start for before, after in pairwise(attempt.spells))


def test_a_device_that_is_no_longer_read_stays_its_attempts() -> None:
    """It was held beside the other: nobody knows that it rests, too."""
    lost = [Recorded(Instant(15_000 * n), GpuUuid("GPU-a"), (A,), percent=0) for n in range(60)]
    read = [Recorded(Instant(15_000 * n), GpuUuid("GPU-b"), (A,), percent=0) for n in range(600)]
    (attempt,) = judge([*lost, *read], RULE).attempts
    assert attempt.due == ()


@pytest.mark.parametrize("is_grown", [False, True])
@pytest.mark.parametrize(
    ("who", "percent", "due_after"), [((B,), 0, 30), ((B,), 90, 45), ((), 0, 30), ((), 90, None)], ids=str
)
def test_who_has_given_one_of_two_devices_back_is_judged_by_the_other(
    who: tuple[AttemptId, ...], percent: int, due_after: int | None, is_grown: bool
) -> None:
    """Or has not had it yet, which ends nobody's rest. What nobody is named on may be its own still, and so may the work
    between the last row that names it and the next."""
    had = range(540, 600) if is_grown else range(60)
    resized = [
        Recorded(Instant(15_000 * n), GpuUuid("GPU-a"), (A,) if n in had else who, percent=0 if n in had else percent)
        for n in range(600)
    ]
    kept = [Recorded(Instant(15_000 * n), GpuUuid("GPU-b"), (A,), percent=0) for n in range(600)]
    (attempt,) = [each for each in judge([*resized, *kept], RULE).attempts if each.attempt_id == A]
    expected = min(due_after, 30) if due_after and is_grown else due_after
    assert [event.at // MS_PER_MINUTE for event in attempt.stopped][:1] == ([expected] if expected else [])
    if expected and not is_grown:
        assert attempt.returned_gpu_ms == (600 - 1) * 15_000 - expected * MS_PER_MINUTE


def test_devices_are_told_of_in_the_order_of_their_uuids_whoever_has_them() -> None:
    rows = [Recorded(Instant(15_000 * n), GpuUuid(uuid), (who,), percent=0) for n in range(9) for uuid, who in ROOM]
    assert [each.gpu_uuid for each in judge(rows, RULE).devices] == ["GPU-a", "GPU-b", "GPU-c"]
    assert [each.gpu_uuids for each in judge(rows, RULE).attempts] == [("GPU-b", "GPU-c"), ("GPU-a",)]
