"""A pool gets its nominal quota: whoever of it waits and would stay within it starts in bounded cycles, aged or not.

It is a promise to the pool, where `reclaim_within_cohort: Any` lets it take back what it lent, not to one of its
workloads: what of the pool's own work comes first is for its order to say, and only ageing bounds that wait
(docs/adr/0017-ageing.md; tests/decision/test_starving.py).
"""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.policy import BorrowWithinCohort, Cohort, Policy, Quota, ReclaimWithinCohort, WithinPool
from scheduler.domain.units import CohortName, PoolName
from scheduler.domain.workloads import AttemptState, Workload
from tests.decision.applying import ended, recorded
from tests.decision.builders import (
    A100,
    H100,
    SPARE,
    STANDARD,
    URGENT,
    balance,
    node,
    nodes,
    placements,
    policy,
    pool,
    snapshot,
    workload,
)
from tests.decision.worlds import EXAMPLES

CYCLES = 3
"""One to choose victims, one to start on what they gave up, and one for what a first set of victims left over."""
OTHERS = ("blue", "green")
SHARED = 3
"""GPUs that the part of the cohort may have of its own, beside those of its pools."""
CLASSES = st.sampled_from([SPARE, STANDARD, URGENT])
stream = st.lists(st.tuples(st.sampled_from(OTHERS), st.integers(1, 6), CLASSES), max_size=4)


@st.composite
def rules(draw: st.DrawFn) -> Policy:
    """Three pools of a cohort, some of them of a part of it, whose quotas are all that there is."""
    limit = st.sampled_from([None, None, 0, 2])
    shared = {H100: Quota(H100, draw(st.sampled_from([0, 0, SHARED])), draw(limit), draw(limit))}
    pools = [
        pool(
            name,
            cohort=draw(st.sampled_from(["part", "all"])),
            quotas={H100: Quota(H100, nominal)},
            reclaim_within_cohort=ReclaimWithinCohort.ANY,
            within_pool=draw(st.sampled_from(WithinPool)),
            borrow_within_cohort=draw(st.sampled_from(BorrowWithinCohort)),
        )
        for name, nominal in (("red", draw(st.integers(1, 8))), ("blue", 4), ("green", 4))
    ]
    return policy(
        *pools,
        cohorts=[Cohort(CohortName("all")), Cohort(CohortName("part"), CohortName("all"), shared)],
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(rules(), st.lists(stream, min_size=3, max_size=3), st.lists(st.tuples(st.integers(1, 8), CLASSES), max_size=5))
def test_a_pool_gets_its_nominal_quota_in_three_cycles_whatever_others_ask_for(
    by: Policy, waves: list[list[tuple[str, int, object]]], wishes: list[tuple[int, object]]
) -> None:
    """Others take the whole cluster first, and go on asking. Pods of one GPU, so that no fragments are in the way."""
    nominal = by.pools[PoolName("red")].quotas[H100].nominal
    gpus = nominal + 8 + by.cohorts[CohortName("part")].quotas[H100].nominal
    cluster = nodes(*(node(f"n{number}", 4) for number in range(gpus // 4)), node("rest", gpus % 4))
    full = [gang(f"full-{name}-{number}", 1, STANDARD, name) for name in OTHERS for number in range(gpus)]
    owners = [balance(owner, 10**6) for owner in ("red", *OTHERS)]
    world = snapshot(cluster, full, by=by, balances=owners)
    for _ in range(CYCLES):
        world = ended(recorded(world, decide(world)))

    mine = [gang(f"mine-{number}", pods, of, "red") for number, (pods, of) in enumerate(wishes)]
    world = with_more(world, mine)
    for number, wave in enumerate(waves):
        fresh = [gang(f"w{number}-{at}", pods, of, name) for at, (name, pods, of) in enumerate(wave)]
        world = ended(recorded(world, decide(world)))
        world = with_more(world, fresh)
    assert_nothing_waits_within_nominal(world, nominal)


def assert_nothing_waits_within_nominal(world: Snapshot, nominal: int) -> None:
    """Nothing of the red pool waits that would stay within its nominal quota; what is promised to it counts."""
    running = [
        each for each in world.attempts.values() if each.pool == "red" and each.state is not AttemptState.STOPPING
    ]
    used = sum(each.gpus for each in running)
    waiting = [each for each in world.queued.values() if each.team == "red" and each.id not in world.reservations]
    promised = sum(world.queued[name].spec.gpus for name in world.reservations if world.queued[name].team == "red")
    assert [each.id for each in waiting if used + promised + each.spec.gpus <= nominal] == []


def gang(name: str, pods: int, of: object, team: str) -> Workload:
    return workload(name, owner=team, team=team, pods=pods, priority_class=of, hours=1)  # type: ignore[arg-type]  # drawn


def with_more(world: Snapshot, more: list[Workload]) -> Snapshot:
    return replace(world, queued={**world.queued, **{each.id: each for each in more}})


def test_who_is_within_its_nominal_quota_on_the_class_that_it_can_have_goes_before_who_borrows() -> None:
    """Though it would like another class better, of which its pool has none of its own. Else what borrows would start, and
    be stopped for it in the next cycle."""
    mine = workload("mine", team="red", owner="red", gpus=8, classes=(A100, H100))
    theirs = workload("theirs", team="blue", owner="blue", gpus=8, age=9)
    pools = [
        pool("red", quotas={A100: Quota(A100, 0), H100: Quota(H100, 8)}, cohort="all"),
        pool("blue", gpus=4, cohort="all"),
    ]
    known = nodes(node("n1"), node("n2", gpu_class=A100, accepts_work=False))

    plan = decide(snapshot(known, [mine, theirs], by=policy(*pools)))

    assert placements(plan) == {"mine": {"n1": 1}}


def test_where_policy_never_reclaims_it_waits_for_who_borrowed() -> None:
    """Why the promise needs `Any`: what was lent runs on."""
    lent = [gang(f"b{number}", 1, STANDARD, "blue") for number in range(8)]
    pools = [
        pool(name, gpus=4, cohort="all", reclaim_within_cohort=ReclaimWithinCohort.NEVER) for name in ("red", "blue")
    ]
    owners = [balance(owner, 10**6) for owner in ("red", "blue")]
    world = snapshot(nodes(node("n1")), lent, by=policy(*pools), balances=owners)
    world = with_more(ended(recorded(world, decide(world))), [gang("mine", 4, URGENT, "red")])

    plan = decide(world)
    assert (plan.launches, plan.preemptions) == ((), ())
