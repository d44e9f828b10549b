"""Generated worlds of everything at once: pods of many sizes on nodes that are short of CPU or memory as often as of GPUs,
cohorts in cohorts with limits at every level, several GPU classes, bookings, elastic work, tiers, and a cycle before.

What runs fits beside the rest, as whatever launched it saw to it.
"""

from dataclasses import replace

from hypothesis import strategies as st

from scheduler.decision.decide import decide
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.allowances import AllowanceBalance, HolderKind
from scheduler.domain.brakes import Brake, Stop, StopRate
from scheduler.domain.cluster import Node, PodRequest
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.policy import (
    BorrowWithinCohort,
    Cohort,
    Limits,
    Order,
    Policy,
    Pool,
    Quota,
    ReclaimWithinCohort,
    WithinPool,
)
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    CohortName,
    EngineerId,
    GpuClassName,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    TeamName,
    TierName,
    WorkloadId,
)
from scheduler.domain.workloads import ArrayPlace, Attempt, AttemptState, ElasticTerms, HoldMode, Workload
from tests.decision.applying import recorded, workload_of
from tests.decision.beside import left_beside, of_one_class, ran, spread
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
    policy,
    snapshot,
    tier,
    workload,
)
from tests.decision.stretched import APOLLO
from tests.decision.test_bookings import booking
from tests.decision.worlds import ASKS, CLASSES, OWNERS, TEAMS, TOPOLOGY, mostly

COHORTS = (("all", None), ("part", "all"), ("leaf", "part"), ("rest", "all"))
POOLS = st.sampled_from(TEAMS)


@st.composite
def mingled(draw: st.DrawFn, *, waiting: int = 5, running: int = 6) -> Snapshot:
    known = nodes(*(draw(_nodes(f"n{number}")) for number in range(draw(mostly(3, 1, 2, 4)))))
    by = draw(_policies())
    attempts: list[Attempt] = []
    if draw(mostly(False, True)):
        attempts += _booked(draw, known)
    for number in range(draw(mostly(running, 0, running // 2))):
        attempts += _running(draw, f"r{number}", known, attempts)
    world = snapshot(
        known,
        [draw(_waiting(f"w{number}")) for number in range(draw(mostly(waiting, 0, 1)))],
        by=by,
        attempts=attempts,
        launched={each.workload_id: workload_of(each) for each in attempts if not each.is_booking},
        balances=draw(_balances()),
        tiers={EngineerId(owner): TierName("small") for owner in OWNERS if draw(mostly(False, False, True))},
        stops=(Stop(Brake.PREEMPT, Instant(NOW - MS_PER_MINUTE), 1),) if draw(mostly(False, True)) else (),
    )
    if draw(mostly(False, True)):
        return world
    more = [draw(_waiting(f"x{number}")) for number in range(draw(st.integers(0, 2)))]
    world = recorded(world, decide(world))
    return replace(world, queued={**world.queued, **{each.id: each for each in more}})


@st.composite
def _nodes(draw: st.DrawFn, name: str) -> Node:
    return node(
        name,
        draw(mostly(8, 4, 2)),
        gpu_class=draw(mostly(H100, A100)),
        cpu=draw(mostly(64, 8, 12)) * 1000,
        memory=draw(mostly(64, 8, 12)) * 1024,
        labels={"block": draw(st.sampled_from("xy")), "rack": draw(st.sampled_from("12")), "disk": "ssd"},
        accepts_work=draw(mostly(True, True, True, False)),
    )


@st.composite
def _quotas(draw: st.DrawFn, sizes: tuple[int, ...]) -> dict[GpuClassName, Quota]:
    limit = mostly(None, 0, 2, 4)
    return {
        name: Quota(name, draw(st.sampled_from(sizes)), draw(limit), draw(limit))
        for name in CLASSES
        if draw(mostly(True, True, True, False))
    }


@st.composite
def _pools(draw: st.DrawFn, team: str) -> Pool:
    return Pool(
        PoolName(team),
        (TeamName(team),),
        draw(_quotas((8, 4, 12, 0))),
        cohort=CohortName(draw(mostly("all", "part", "leaf", "rest"))) if draw(mostly(True, True, False)) else None,
        order=draw(st.sampled_from(Order)),
        ageing_ms=draw(mostly(7 * MS_PER_DAY, 2_000)),
        within_pool=draw(st.sampled_from(WithinPool)),
        reclaim_within_cohort=draw(mostly(ReclaimWithinCohort.ANY, *ReclaimWithinCohort)),
        borrow_within_cohort=draw(st.sampled_from(BorrowWithinCohort)),
        borrow_threshold=draw(st.sampled_from([None, 100, 200])),
    )


@st.composite
def _policies(draw: st.DrawFn) -> Policy:
    classes = [
        replace(
            each,
            hold=draw(mostly(HoldMode.FULL, HoldMode.ROLLING)),
            class_factor=PerMille(draw(mostly(1000, 1500, 500))),
            minimum_runtime_ms=draw(mostly(0, 10 * MS_PER_MINUTE)),
            is_preemptible=draw(mostly(True, True, True, False)),
        )
        for each in (URGENT, STANDARD, SPARE)
    ]
    moves = ConsolidationTerms(frozenset({STANDARD.name, SPARE.name}), lost_max=4 * MS_PER_HOUR, moves_max=3)
    cohorts = [
        Cohort(CohortName(name), CohortName(above) if above else None, draw(_quotas((0, 0, 2, 4))))
        for name, above in COHORTS
    ]
    made = policy(
        *(draw(_pools(team)) for team in TEAMS),
        classes=classes,
        cohorts=cohorts,
        tiers=[tier("small", gpus_max=4)],
        limits=Limits(
            gpus_per_engineer=draw(mostly(None, None, 8)),
            gpus_per_team=draw(mostly(None, None, 10)),
            unfunded_gpus_per_engineer=draw(mostly(6, 2)),
        ),
    )
    return replace(
        made,
        topology=TOPOLOGY,
        consolidation=draw(mostly(ConsolidationTerms(), moves)),
        preempt_rate=draw(mostly(StopRate(None), StopRate(None), StopRate(PerMille(300), floor=4))),
    )


@st.composite
def _pods(draw: st.DrawFn) -> PodRequest:
    """Mostly of what a node has the most."""
    return PodRequest(draw(st.sampled_from([1, 2, 3, 4])), draw(mostly(1, 4, 6)) * 1000, draw(mostly(1, 4, 6)) * 1024)


def _booked(draw: st.DrawFn, known: dict[NodeName, Node]) -> list[Attempt]:
    """Begun an hour ago, or to begin in minutes or hours; and in one that has begun, at times, somebody."""
    on = draw(st.sampled_from(sorted(known)))
    gpus, at = draw(st.sampled_from([1, 2])), draw(st.sampled_from([-1, -1, 0.1, 3]))
    made = booking("bk", on, gpus=gpus, in_hours=at, hours=6, team=draw(POOLS), project=draw(mostly(APOLLO, None)))
    made = replace(made, gpu_class=known[on].gpu_class or H100, pod=PodRequest(gpus, 0, 0))
    if at > 0 or draw(st.booleans()):
        return [made]
    inside = attempt("in", on, owner="ada", team=made.team, pool=made.pool, gpus=1, running_for=3500)
    return [made, replace(inside, gpu_class=made.gpu_class, booking_id=made.workload_id)]


def _running(draw: st.DrawFn, name: str, known: dict[NodeName, Node], others: list[Attempt]) -> list[Attempt]:
    """Onto what is left, on nodes of one class."""
    pod, wanted = draw(_pods()), draw(mostly(1, 2, 3))
    names = of_one_class(draw(st.permutations(sorted(known))), known)
    pods = spread(wanted, names, lambda on: left_beside(known[on], others, pod))
    if not pods:
        return []
    gpu_class, grace = known[names[0]].gpu_class or H100, draw(mostly(30, 0, 300))
    made = ran(draw, name, pods, pod, TEAMS, gpu_class=gpu_class, grace_seconds=grace)
    made = replace(made, hold_mode=draw(mostly(HoldMode.FULL, HoldMode.ROLLING)))
    if wanted > 1 and draw(st.booleans()):
        least = draw(st.integers(1, made.placement.pods))
        return [
            replace(made, elastic=ElasticTerms(least, made.placement.pods + draw(st.integers(0, 2)), project=APOLLO))
        ]
    is_late = draw(mostly(False, False, True))
    return [replace(made, state=AttemptState.STOPPING) if is_late else made]


@st.composite
def _waiting(draw: st.DrawFn, name: str) -> Workload:
    pods = draw(mostly(1, 2, 3))
    made = workload(
        name,
        owner=draw(st.sampled_from(OWNERS)),
        team=draw(POOLS),
        pods=pods,
        age=draw(st.integers(0, 3)),
        hours=draw(st.sampled_from([0.25, 1, 5])),
        project=draw(mostly("apollo", None)),
        priority_class=draw(mostly(STANDARD, URGENT, SPARE)),
        classes=draw(st.sampled_from([(H100,), (H100,), (A100,), (H100, A100), (A100, H100)])),
        nodes_with=draw(mostly((), (), (("rack", "1"),))),
    )
    spec = replace(
        made.spec,
        pod=draw(_pods()),
        topology=draw(mostly(None, *ASKS)),
        min_pods=draw(st.integers(1, pods - 1)) if pods > 1 and draw(st.booleans()) else None,
        grace_seconds=draw(mostly(30, 0, 300)),
        after=draw(mostly((), (), (), (WorkloadId("w0"),))),
        finish_by=draw(mostly(None, None, None, Instant(NOW + 2 * MS_PER_HOUR))),
    )
    if draw(mostly(False, True)):
        place = ArrayPlace(int(name[1:]), 99, draw(st.sampled_from([None, 1, 2])))
        return replace(made, spec=replace(spec, array=place), id=WorkloadId(f"sweep-{name[0]}-i{name[1:]}"))
    return replace(made, spec=spec)


@st.composite
def _balances(draw: st.DrawFn) -> list[AllowanceBalance]:
    """Mostly enough; some pay on one class alone, may be overdrawn, or are frozen."""
    made = [
        balance(
            owner,
            draw(mostly(1000, 1000, 1000, 12)),
            gpu_classes=draw(mostly(None, None, None, frozenset({A100}))),
            overdraft=draw(mostly(0, 3 * MS_PER_HOUR)),
        )
        for owner in OWNERS
    ]
    shared = [balance(team, draw(mostly(0, 10)), kind=HolderKind.TEAM) for team in TEAMS]
    return [*made, *shared]
