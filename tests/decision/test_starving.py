"""Nothing starves: what has aged gets its room and its quota in bounded time, whatever is submitted after it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide
from scheduler.domain.policy import Order, Quota, ReclaimWithinCohort, WithinPool
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, GpuClassName, Instant
from scheduler.domain.workloads import Workload
from tests.decision.applying import over, recorded
from tests.decision.builders import (
    A100,
    H100,
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    balance,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    snapshot,
    workload,
)

AGED = 8 * MS_PER_DAY // 1000
"""Longer than the default of a pool's ageing, in seconds."""

LONGEST_MS = 4 * MS_PER_HOUR
BOUND_MS = 3 * (LONGEST_MS + MS_PER_HOUR)
"""Once round for who holds the quota, once for who holds the nodes, and once for what was let go by time limit and came
back; each with its grace and the half hour between two cycles."""


def test_a_gang_that_has_aged_has_its_pools_quota_kept_from_what_would_outlast_it() -> None:
    running = attempt("r", "n1", gpus=4, running_for=0)
    gang = workload("gang", gpus=8, age=AGED, priority_class=SPARE)
    rules = policy(pool("red", gpus=8, within_pool=WithinPool.NEVER))
    world = snapshot(
        nodes(node("n1"), node("n2")),
        [gang, workload("long", gpus=2, hours=2, priority_class=URGENT), workload("short", gpus=2, hours=0.5)],
        attempts=[running],
        by=rules,
    )

    plan = decide(world)

    assert reasons(plan) == {"gang": Reason.QUOTA, "long": Reason.PRIORITY, "short": Reason.LAUNCHING}


def test_a_gang_that_has_not_aged_has_no_quota_kept() -> None:
    running = attempt("r", "n1", gpus=4, running_for=0)
    gang = workload("gang", gpus=8, age=3600, priority_class=URGENT)
    rules = policy(pool("red", gpus=8, within_pool=WithinPool.NEVER))
    world = snapshot(
        nodes(node("n1"), node("n2")), [gang, workload("long", gpus=2, hours=2)], attempts=[running], by=rules
    )

    assert placements(decide(world)) == {"long": {"n1": 1}}


@pytest.mark.parametrize(("gpus", "is_kept"), [(8, True), (9, False)])
def test_within_its_nominal_quota_no_other_pool_goes_on_borrowing_from_it(gpus: int, is_kept: bool) -> None:
    lent = attempt("lent", "n1", gpus=8, team="blue", pool="blue", running_for=0, is_borrowed=True)
    rules = policy(
        pool("red", gpus=8, cohort="all", reclaim_within_cohort=ReclaimWithinCohort.NEVER),
        pool("blue", gpus=2, cohort="all"),
    )
    gang = workload("gang", pods=1, gpus=gpus, age=AGED)
    more = workload("more", gpus=2, hours=9, team="blue", owner="bob")
    world = snapshot(nodes(node("n1", 16), node("n2", 16)), [gang, more], attempts=[lent], by=rules)

    assert reasons(decide(world)) == {
        "gang": Reason.QUOTA,
        "more": Reason.PRIORITY if is_kept else Reason.LAUNCHING,
    }


def test_what_another_pool_gives_back_of_its_own_and_does_not_lend_makes_no_quota_free() -> None:
    """Blue uses four GPUs that it lends to nobody, and four of red's: the end of the second four gives red nothing, though
    with it as many GPUs have come free as the gang lacks."""
    quota = {H100: Quota(H100, 4, lending_limit=0)}
    rules = policy(
        pool("red", gpus=8, cohort="all", reclaim_within_cohort=ReclaimWithinCohort.NEVER),
        pool("blue", quotas=quota, cohort="all"),
        pool("green", gpus=0, cohort="all"),
    )
    running = [
        attempt("in 15 minutes", "n1", gpus=4, team="blue", pool="blue", running_for=2700),
        attempt("in 30 minutes", "n1", gpus=4, team="blue", pool="blue", running_for=1800),
        attempt("in an hour", "n2", gpus=2, team="green", pool="green", running_for=0),
    ]
    queued = [
        workload("gang", gpus=8, age=AGED),
        workload("gone before", hours=0.75, age=2),
        workload("outlasts it", hours=1.2, age=1),
    ]
    plan = decide(snapshot(nodes(node("n1"), node("n2"), node("n3")), queued, attempts=running, by=rules))

    assert reasons(plan) == {
        "gang": Reason.QUOTA,
        "gone before": Reason.LAUNCHING,
        "outlasts it": Reason.PRIORITY,
    }


def test_a_gang_that_no_quota_could_ever_hold_keeps_nothing_from_anybody() -> None:
    rules = policy(pool("red", gpus=8))
    world = snapshot(nodes(node("n1", 16)), [workload("gang", gpus=9, age=AGED), workload("w", hours=9)], by=rules)

    assert reasons(decide(world)) == {"gang": Reason.QUOTA, "w": Reason.LAUNCHING}


sizes = st.sampled_from([1, 2, 4])
limits = st.sampled_from([0.5, 1, 2, 4])
arrivals = st.lists(st.tuples(sizes, limits, st.sampled_from([SPARE, STANDARD, URGENT]), st.booleans()), max_size=4)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(arrivals, min_size=2, max_size=4),
    st.sampled_from(list(Order)),
    st.sampled_from([WithinPool.NEVER, WithinPool.LOWER_PRIORITY]),
    st.sampled_from(list(ReclaimWithinCohort)),
    st.sampled_from([1, 2]),
    st.sampled_from([None, {}, {A100: 8}]),
)
def test_what_has_aged_starts_in_bounded_time_under_any_stream(
    waves: list[list[tuple[int, float, object, bool]]],
    order: Order,
    within: WithinPool,
    reclaim: ReclaimWithinCohort,
    pods: int,
    better: dict[GpuClassName, int] | None,
) -> None:
    """A gang of all of its pool's own quota, under a stream of smaller work of its own pool and of one that borrows. At
    times it would like another class better, of which its pool has no quota, or none of whose nodes takes work."""
    quotas = {H100: Quota(H100, 8), A100: Quota(A100, (better or {}).get(A100, 0))}
    rules = policy(
        *(
            pool(name, quotas=quotas, cohort="all", order=order, within_pool=within, reclaim_within_cohort=reclaim)
            for name in ("red", "blue")
        )
    )
    classes = (H100,) if better is None else (A100, H100)
    drained = node("n0", gpu_class=A100, accepts_work=False)
    owners = [balance(owner, 10**6) for owner in ("ada", "bob")]
    gang = workload("gang", pods=pods, gpus=8 // pods, age=AGED, priority_class=SPARE, hours=1, classes=classes)
    first = [_arrival(f"first{i}", NOW, each) for i, each in enumerate([*waves[0], *waves[1]])]
    world = snapshot(nodes(drained, node("n1"), node("n2")), first, balances=owners, by=rules)
    world = recorded(world, decide(world))
    world = replace(world, queued={**world.queued, gang.id: gang})
    number = 0
    while gang.id in world.queued:
        assert world.now - NOW <= BOUND_MS, "it starves"
        world = over(recorded(world, decide(world)), Instant(world.now + MS_PER_HOUR // 2))
        wave = waves[number % len(waves)]
        number += 1
        fresh = [_arrival(f"w{number}-{i}", world.now, each) for i, each in enumerate(wave)]
        world = replace(world, queued={**world.queued, **{each.id: each for each in fresh}})


def _arrival(name: str, now: Instant, asked: tuple[int, float, object, bool]) -> Workload:
    gpus, hours, priority_class, is_red = asked
    made = workload(
        name,
        gpus=gpus,
        hours=hours,
        priority_class=priority_class,  # type: ignore[arg-type]  # drawn from the classes
        team="red" if is_red else "blue",
        owner="ada" if is_red else "bob",
    )
    return replace(made, submitted_at=now)
