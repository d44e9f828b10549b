"""Nominal quota that its pool may not take back is not lent while somebody of the pool waits for it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.policy import Policy, PriorityClass, ReclaimWithinCohort, WithinPool
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, Instant, PerMille
from scheduler.domain.workloads import Workload
from tests.decision.applying import over, recorded
from tests.decision.builders import (
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    balance,
    cold,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    snapshot,
    workload,
)

NEVER, OF_LOWER, ANY = ReclaimWithinCohort.NEVER, ReclaimWithinCohort.LOWER_PRIORITY, ReclaimWithinCohort.ANY


def lending(reclaims: ReclaimWithinCohort = NEVER) -> Policy:
    return policy(
        pool("red", gpus=4, cohort="some", reclaim_within_cohort=reclaims),
        pool("blue", gpus=0, cohort="some"),
        pool("gold", gpus=2, cohort="some"),
    )


def world(*others: Workload, by: Policy | None = None) -> Snapshot:
    """Red has two of its four GPUs and asks for four; another GPU of its own is borrowed, one is free, and gold's are."""
    running = [
        attempt("mine", "n", gpus=2, team="red", pool="red"),
        attempt("lent", "n", gpus=1, team="blue", pool="blue"),
    ]
    running = [replace(each, time_limit_ms=5 * MS_PER_HOUR) for each in running]
    waits = workload("waits", team="red", gpus=4, age=600)
    paid = [balance(owner) for owner in ("ada", "bob", "eve")]
    return snapshot(nodes(node("n", 64)), [waits, *others], attempts=running, by=by or lending(), balances=paid)


def borrows(gpus: int, *, hours: float = 24, age: int = 60) -> Workload:
    return workload("borrows", owner="eve", team="blue", gpus=gpus, hours=hours, age=age)


def started(plan: Plan) -> set[str]:
    return set(placements(plan))


@pytest.mark.parametrize(("reclaims", "is_lent"), [(NEVER, False), (OF_LOWER, False), (ANY, True)])
def test_what_may_not_be_taken_back_is_not_lent_while_its_pool_waits(
    reclaims: ReclaimWithinCohort, is_lent: bool
) -> None:
    """What is borrowed now ends, and nobody borrows it anew: so the pool has its quota back, though it stops nobody."""
    plan = decide(world(borrows(3), by=lending(reclaims)))

    assert started(plan) == ({"borrows"} if is_lent else set())
    assert is_lent or reasons(plan)["borrows"] is Reason.PRIORITY


def test_what_is_another_pools_is_lent_all_the_same() -> None:
    assert started(decide(world(borrows(1)))) == {"borrows"}


def test_who_is_gone_by_the_time_that_it_can_have_its_quota_may_borrow_meanwhile() -> None:
    assert started(decide(world(borrows(3, hours=1)))) == {"borrows"}


def test_who_goes_before_it_is_not_kept_from_it() -> None:
    """With what its own pool uses it would borrow itself, and was submitted later."""
    assert started(decide(world(borrows(3, age=900)))) == {"borrows"}


def test_its_own_pool_goes_on_beside_it_as_before() -> None:
    small = workload("small", owner="bob", team="red", gpus=1, age=60, hours=24)

    assert started(decide(world(small))) == {"small"}


def test_what_is_larger_than_the_nominal_quota_keeps_nothing() -> None:
    larger = workload("waits", team="red", gpus=5, age=600)

    assert started(decide(world(larger, borrows(3)))) == {"borrows"}


def test_where_its_pool_has_used_all_of_its_own_there_is_nothing_to_keep() -> None:
    known = world(borrows(1))
    more = attempt("more", "n", gpus=2, team="red", pool="red", priority_class=URGENT)
    full = replace(known, attempts={**known.attempts, more.id: more})

    assert started(decide(full)) == {"borrows"}


def test_whoever_asks_before_is_told_so() -> None:
    known = cold(world())
    large, small = (known.forecast(borrows(gpus), PerMille(500)) for gpus in (3, 1))

    assert large is not None
    assert large.ruling.reason is Reason.PRIORITY
    assert small is not None
    assert small.starts_now


CLASSES = st.sampled_from([SPARE, STANDARD, URGENT])
waves = st.lists(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0.25, 1, 4]), CLASSES), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25, deadline=None)
@given(waves, st.sampled_from([NEVER, OF_LOWER]), st.integers(1, 6))
def test_a_pool_that_takes_nothing_back_has_its_nominal_quota_once_what_was_lent_has_ended(
    stream: list[list[tuple[int, float, PriorityClass]]], reclaims: ReclaimWithinCohort, gpus: int
) -> None:
    """Whatever stream of borrowers there is, of any priority: it has not aged, and stops nobody."""
    rules = policy(
        pool("red", gpus=6, cohort="some", reclaim_within_cohort=reclaims),
        pool("blue", gpus=2, cohort="some", within_pool=WithinPool.NEVER),
    )
    lent = [
        attempt(f"lent-{number}", "n", team="blue", pool="blue", running_for=1500 * number) for number in range(8)
    ]
    lent = [replace(each, time_limit_ms=4 * MS_PER_HOUR) for each in lent]
    mine = workload("mine", owner="ada", gpus=gpus, priority_class=SPARE)
    paid = [balance("ada"), balance("bob", 10**6)]
    known = snapshot(nodes(node("n")), [mine], attempts=lent, by=rules, balances=paid)
    number = 0
    while mine.id in known.queued:
        assert known.now - NOW <= 5 * MS_PER_HOUR, "others go on borrowing it"
        number += 1
        fresh = [
            workload(f"w{number}-{i}", owner="bob", team="blue", gpus=size, hours=hours, priority_class=of)
            for i, (size, hours, of) in enumerate(stream[number % len(stream)])
        ]
        known = replace(known, queued={**known.queued, **{each.id: each for each in fresh}})
        known = over(recorded(known, decide(known)), Instant(known.now + MS_PER_HOUR // 2))
