"""Elastic work in a replay: it gives way, takes what is free, and does its work at the size that it has."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.funding import FundingShare
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, Instant
from scheduler.simulation.replay.engine import Outcome
from scheduler.simulation.replay.settling import Held
from scheduler.simulation.replay.submissions import Submission
from scheduler.simulation.replay.works import Work
from tests.simulation.replay.build import ANN, BOB, POLICY, START, asks, replayed
from tests.simulation.replay.test_settling import PAYERS, books

TAKES_BACK = POLICY.replace("blue: {teams: [blue],", "blue: {teams: [blue], reclaim_within_cohort: Any,")


def elastic(at_hours: float, run_hours: float, least: int, most: int, **said: object) -> Submission:
    """Work of so many pods of one GPU, which runs with the least of them."""
    submission = asks(at_hours, run_hours, **said)  # type: ignore[arg-type]
    return replace(submission, spec=replace(submission.spec, pods=most, min_pods=least))


def hours(work: Work) -> float:
    assert work.ended_at is not None, f"{work.workload.spec.name} has ended"
    return (work.ended_at - START) / MS_PER_HOUR


def used_gpu_hours(outcome: Outcome) -> float:
    return outcome.measures.used_gpu_ms / MS_PER_HOUR


def test_with_half_its_gpus_it_takes_twice_as_long() -> None:
    outcome = replayed([asks(0, 10, gpus=4), elastic(0.1, 2, 2, 8)])

    _, job = outcome.works
    assert hours(job) == 0.1 + 4
    assert used_gpu_hours(outcome) == 40 + 16


def test_it_grows_when_somebody_ends_and_is_through_the_sooner() -> None:
    outcome = replayed([asks(0, 2, gpus=4), elastic(0, 2, 2, 8)])

    _, job = outcome.works
    # Two hours with four GPUs do half of sixteen GPU-hours, eight GPUs the rest in one.
    assert hours(job) == 3
    assert job.attempts == 1
    assert used_gpu_hours(outcome) == 8 + 16


def test_it_shrinks_for_whom_its_gpus_were_lent_by_and_is_not_preempted() -> None:
    outcome = replayed([elastic(0, 3, 2, 8, owner=ANN), asks(1, 1, owner=BOB, gpus=4)], TAKES_BACK, days=2)

    job, bobs = outcome.works
    assert hours(bobs) == 2, "it starts as soon as the pods have ended, at once here"
    # An hour with eight GPUs, one with four, and what is left of 24 GPU-hours, twelve, with eight again.
    assert hours(job) == 3.5
    assert job.attempts == 1
    assert not outcome.measures.preemptions


def test_what_it_gives_back_is_charged_no_longer() -> None:
    outcome = replayed([elastic(0, 3, 2, 8, owner=ANN), asks(1, 1, owner=BOB, gpus=4)], TAKES_BACK, days=2)

    charged = sum(amount for amount in outcome.books.charged.values())
    assert charged == (24 + 4) * MS_PER_HOUR
    assert used_gpu_hours(outcome) == 28


def test_of_what_is_held_the_part_for_pods_that_are_gone_comes_back_the_last_slice_first() -> None:
    made, held = books(), Held(1_000_000)
    for payer, amount in (("a", 60), ("b", 40)):
        held.reserve(made, [FundingShare(AllowanceId(payer), amount)], START)

    given = held.shrink(made, used=20, gpus=3, before=8)

    # Of 80 that are not used 30 last as long for three GPUs as 80 do for eight.
    assert held.covered == 50
    assert given == ["b", "a"]
    assert [(item.allowance_id, item.amount) for item in held.slices] == [("a", 50)]
    assert [made.balance(payer).reserved for payer in PAYERS[:2]] == [50, 0]


@settings(max_examples=15, deadline=None)
@given(
    ends=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6), st.integers(1, 4)), max_size=6),
    least=st.integers(1, 4),
    run=st.integers(1, 6),
    is_rolling=st.booleans(),
)
def test_however_it_is_resized_it_uses_the_gpu_time_that_its_work_takes(
    ends: list[tuple[int, int, int]], least: int, run: int, is_rolling: bool
) -> None:
    job = elastic(0, run, least, 8, priority_class="rolling" if is_rolling else "standard", limit_hours=100)
    others = [asks(at + 0.01, lasts, owner=BOB, gpus=gpus) for at, lasts, gpus in ends]

    outcome = replayed([job, *others], TAKES_BACK, days=14)

    total = run * 8 + sum(lasts * gpus for _, lasts, gpus in ends)
    assert abs(used_gpu_hours(outcome) - total) * MS_PER_HOUR <= 8 * 20, "to the millisecond of each resizing"
    assert sum(outcome.books.charged.values()) == outcome.measures.used_gpu_ms
    assert all(work.ended_at is not None and work.ended_at > Instant(START) for work in outcome.works)
