"""Generated worlds of many kinds of pay, of GPUs and of times: class hours and money beside standard hours, MIG instances
beside whole GPUs, bookings that lie over each other, begin times, dependencies and arrays, racks, and calendars whose
clocks are put forward or back.

What runs fits beside the rest, as whatever launched it saw to it. What becomes of such a world: `changing.py`.
"""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from scheduler.decision.snapshot import Snapshot
from scheduler.domain.brakes import StopRate
from scheduler.domain.cluster import GpuClass, Node, PodRequest
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.guards import GuardOf, GuardWindow, SpendGuard
from scheduler.domain.policy import (
    BorrowWithinCohort,
    Cohort,
    Limits,
    OffPeak,
    Order,
    Policy,
    Pool,
    PriorityClass,
    Quota,
    ReclaimWithinCohort,
    WithinPool,
)
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    CohortName,
    GpuClassName,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    ProjectName,
    TeamName,
    WorkloadId,
)
from scheduler.domain.workloads import ArrayPlace, Attempt, AttemptState, ElasticTerms, HoldMode, Workload
from tests.decision.applying import workload_of
from tests.decision.beside import left_beside, of_one_class, ran, spread
from tests.decision.builders import (
    A100,
    H100,
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    node,
    nodes,
    policy,
    snapshot,
    tier,
    workload,
)
from tests.decision.pay import CLASSES, MIG, SOON, balances_of, prices
from tests.decision.stretched import APOLLO
from tests.decision.test_bookings import booking
from tests.decision.test_guarding import IN_AUTUMN, IN_SPRING
from tests.decision.worlds import ASKS, OWNERS, TEAMS, TOPOLOGY, mostly

COHORTS = (("all", None), ("part", "all"), ("rest", "all"))
PER_NODE = {H100: (8, 4, 2), A100: (8, 4), MIG: (14, 7)}
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
CLOCKS_CHANGE = (IN_AUTUMN, IN_SPRING, Instant(1_793_505_600_000), Instant(1_791_034_200_000))
"""In Berlin, in New York and on Lord Howe Island: an hour, or half of one, that is there twice or not at all."""


@st.composite
def manifold(draw: st.DrawFn, *, waiting: int = 6, running: int = 6) -> Snapshot:
    known = nodes(*(draw(nodes_of(f"n{number}")) for number in range(draw(mostly(4, 2, 3)))))
    attempts: list[Attempt] = []
    for number in range(draw(mostly(0, 1, 2, 3))):
        attempts += draw(booked(f"bk{number}", known, attempts))
    for number in range(draw(st.sampled_from([running, running, running // 2, 2, 0]))):
        attempts += draw(_running(f"r{number}", known, attempts))
    queued = [draw(waiting_of(f"w{number}")) for number in range(draw(st.sampled_from([waiting, waiting, 2, 1])))]
    world = snapshot(
        known,
        queued,
        by=draw(policies()),
        attempts=attempts,
        launched={each.workload_id: workload_of(each) for each in attempts if not each.is_booking},
        balances=draw(balances_of()),
        prices=draw(prices()),
    )
    around = draw(st.sampled_from([NOW, *CLOCKS_CHANGE]))
    return later(world, around - NOW - draw(st.integers(-2, 30)) * MS_PER_HOUR if around != NOW else 0)


def later(world: Snapshot, by_ms: int) -> Snapshot:
    """The same at another time: all that happened or is to come is as far from it as it was."""

    def moved(of: Any, *names: str) -> Any:
        return replace(of, **{name: Instant(at + by_ms) for name in names if (at := getattr(of, name))})

    def of_waiting(each: Workload) -> Workload:
        known: Workload = moved(each, "submitted_at", "ages_from", "not_before", "eligible_at")
        return replace(known, spec=moved(each.spec, "finish_by"))

    was = ("launched_at", "started_at", "submitted_at", "checkpointed_at")
    hours = world.balances.items()
    return replace(
        world,
        now=Instant(world.now + by_ms),
        queued={name: of_waiting(each) for name, each in world.queued.items()},
        launched={name: of_waiting(each) for name, each in world.launched.items()},
        attempts={name: moved(each, *was) for name, each in world.attempts.items()},
        balances={k: replace(b, allowance=moved(b.allowance, "starts_at", "expires_at")) for k, b in hours},
    )


# --- what there is ---------------------------------------------------------------------------------------------------


@st.composite
def nodes_of(draw: st.DrawFn, name: str) -> Node:
    gpu_class = draw(mostly(H100, H100, A100, MIG))
    return node(
        name,
        draw(st.sampled_from(PER_NODE[gpu_class])),
        gpu_class=gpu_class,
        cpu=draw(mostly(64, 12)) * 1000,
        memory=draw(mostly(64, 12)) * 1024,
        labels=draw(labels()),
        accepts_work=draw(mostly(True, True, True, False)),
    )


@st.composite
def labels(draw: st.DrawFn) -> dict[str, str]:
    block, rack = draw(st.sampled_from((("x", "1"), ("x", "2"), ("y", "1"), ("y", "2"))))
    return {"block": block, "rack": rack, "disk": draw(mostly("ssd", "hdd"))}


@st.composite
def quotas(draw: st.DrawFn, sizes: tuple[int, ...]) -> dict[GpuClassName, Quota]:
    limit = mostly(None, 0, 2, 4)
    return {
        name: Quota(name, draw(st.sampled_from(sizes)), draw(limit), draw(limit))
        for name in CLASSES
        if draw(mostly(True, True, True, False))
    }


@st.composite
def pools_of(draw: st.DrawFn, team: str) -> Pool:
    return Pool(
        PoolName(team),
        (TeamName(team),),
        draw(quotas((8, 4, 12, 16))),
        cohort=draw(mostly(CohortName("all"), *(CohortName(name) for name, _ in COHORTS), None)),
        order=draw(st.sampled_from(Order)),
        ageing_ms=draw(mostly(7 * MS_PER_DAY, 2_000, 400_000)),
        ageing_per_engineer=draw(mostly(2, 1)),
        within_pool=draw(mostly(WithinPool.LOWER_PRIORITY, *WithinPool)),
        reclaim_within_cohort=draw(mostly(ReclaimWithinCohort.ANY, *ReclaimWithinCohort)),
        borrow_within_cohort=draw(st.sampled_from(BorrowWithinCohort)),
        borrow_threshold=draw(st.sampled_from([None, 100, 200])),
    )


@st.composite
def classes_of(draw: st.DrawFn) -> list[PriorityClass]:
    hours = (OffPeak(20, 6), OffPeak(1, 3, includes_weekends=False), OffPeak(free=PerMille(500)))
    return [
        replace(
            each,
            hold=draw(mostly(HoldMode.FULL, HoldMode.ROLLING)),
            class_factor=PerMille(draw(mostly(1000, 1500, 333))),
            minimum_runtime_ms=draw(mostly(0, 0, 10 * MS_PER_MINUTE)),
            preemption_delay_ms=draw(mostly(0, 0, 30_000)),
            is_preemptible=draw(mostly(True, True, True, False)),
            off_peak=draw(mostly(None, None, *hours)) if each is SPARE else None,
        )
        for each in (URGENT, STANDARD, SPARE)
    ]


@st.composite
def cohorts_of(draw: st.DrawFn) -> list[Cohort]:
    return [
        Cohort(CohortName(name), CohortName(above) if above else None, draw(quotas((0, 0, 2, 4))))
        for name, above in COHORTS
    ]


@st.composite
def limits_of(draw: st.DrawFn) -> Limits:
    return Limits(
        gpus_per_engineer=draw(mostly(None, None, 8, 4)),
        gpus_per_team=draw(mostly(None, None, 10, 6)),
        unfunded_gpus_per_engineer=draw(mostly(6, 0, 2)),
    )


@st.composite
def guards_of(draw: st.DrawFn) -> tuple[SpendGuard, ...]:
    hours = st.sampled_from([6, 20, 100, 1000])
    return tuple(
        SpendGuard(f"{of.value} {window.value}", of, window, soft=MS_PER_HOUR, hard=draw(hours) * MS_PER_HOUR)
        for of in GuardOf
        for window in GuardWindow
        if draw(mostly(False, False, True))
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    moves = ConsolidationTerms(frozenset({STANDARD.name, SPARE.name}), lost_max=4 * MS_PER_HOUR, moves_max=3)
    made = policy(
        *(draw(pools_of(team)) for team in TEAMS),
        classes=draw(classes_of()),
        cohorts=draw(cohorts_of()),
        limits=draw(limits_of()),
        tiers=[tier("small", gpus_max=4)],
    )
    gpu_classes = {**made.gpu_classes, MIG: GpuClass(MIG, PerMille(150), resource="nvidia.com/mig-1g.10gb")}
    return replace(
        made,
        gpu_classes=gpu_classes,
        topology=TOPOLOGY,
        time_zone=draw(st.sampled_from(ZONES)),
        spend_guards=draw(mostly((), draw(guards_of()))),
        consolidation=draw(mostly(ConsolidationTerms(), moves)),
        preempt_rate=draw(mostly(StopRate(None), StopRate(None), StopRate(PerMille(300), floor=4))),
    )


# --- what runs, is booked and waits ----------------------------------------------------------------------------------


@st.composite
def _pods(draw: st.DrawFn) -> PodRequest:
    return PodRequest(draw(st.sampled_from([1, 2, 3, 4, 8])), draw(mostly(1, 4)) * 1000, draw(mostly(1, 4)) * 1024)


@st.composite
def booked(
    draw: st.DrawFn, name: str, known: dict[NodeName, Node], others: list[Attempt], *, now: Instant = NOW
) -> list[Attempt]:
    """One for a window of hours, of what nothing that still runs by then is on; and in one that has begun, at times,
    somebody, elastic or not."""
    able = {
        on: left for on in sorted(known) if (left := left_beside(known[on], others, PodRequest(1, 0, 0), now)) > 0
    }
    if not able:
        return []
    on = draw(st.sampled_from(sorted(able)))
    gpus, at = draw(st.integers(1, min(4, able[on]))), draw(mostly(-1, 0.1, 2, 3))
    team, project = draw(st.sampled_from(TEAMS)), draw(mostly(APOLLO, None))
    made = booking(name, on, gpus=gpus, in_hours=at, hours=draw(st.sampled_from([2, 6])), team=team, project=project)
    starts_at = Instant(made.launched_at - NOW + now)
    made = replace(
        made,
        gpu_class=known[on].gpu_class or H100,
        pod=PodRequest(gpus, 0, 0),
        pool=PoolName(team),
        launched_at=starts_at,
    )
    if at > 0 or draw(mostly(True, False)):
        return [made]
    pods = draw(st.integers(1, gpus))
    inside = attempt(f"in-{name}", {on: pods}, owner="ada", team=team, pool=team, running_for=3500)
    elastic = ElasticTerms(1, pods + draw(st.integers(0, 2)), project=project) if draw(st.booleans()) else None
    inside = replace(inside, gpu_class=made.gpu_class, booking_id=made.workload_id, elastic=elastic)
    if left_beside(known[on], others, inside.pod) < pods:
        return [made]
    return [made, replace(inside, launched_at=starts_at, started_at=starts_at)]


@st.composite
def _running(draw: st.DrawFn, name: str, known: dict[NodeName, Node], others: list[Attempt]) -> list[Attempt]:
    """Onto what is left, on nodes of one class; with several pods it is mostly elastic."""
    pod, wanted = draw(_pods()), draw(mostly(1, 2, 3))
    names = of_one_class(draw(st.permutations(sorted(known))), known)
    pods = spread(wanted, names, lambda on: left_beside(known[on], others, pod))
    if not pods:
        return []
    gpu_class, grace = known[names[0]].gpu_class or H100, draw(mostly(30, 0, 300))
    made = ran(draw, name, pods, pod, TEAMS, gpu_class=gpu_class, grace_seconds=grace)
    if draw(st.booleans()) and (made.placement.pods > 1 or wanted > 1):
        least = draw(st.integers(1, made.placement.pods))
        terms = ElasticTerms(least, made.placement.pods + draw(mostly(2, 0, 1)), project=APOLLO)
        made = replace(made, elastic=terms)
        return [made.shrunk_to(least) if made.surplus and draw(mostly(False, True)) else made]
    return [replace(made, state=AttemptState.STOPPING) if draw(mostly(False, False, True)) else made]


@st.composite
def waiting_of(draw: st.DrawFn, name: str, *, now: Instant = NOW) -> Workload:
    pods = draw(mostly(1, 2, 3))
    made = workload(
        name,
        owner=draw(st.sampled_from(OWNERS)),
        team=draw(st.sampled_from(TEAMS)),
        pods=pods,
        hours=draw(st.sampled_from([0.25, 1, 5])),
        project=draw(mostly("apollo", None)),
        priority_class=draw(mostly(STANDARD, URGENT, SPARE)),
        classes=draw(mostly((H100,), (H100,), (A100,), (MIG,), (H100, A100), (A100, MIG), (MIG, H100))),
        nodes_with=draw(mostly((), (), (("disk", "ssd"),))),
    )
    begins_at = Instant(now + draw(st.sampled_from(SOON)))
    spec = replace(
        made.spec,
        pod=draw(_pods()),
        topology=draw(mostly(None, *ASKS)),
        min_pods=draw(st.integers(1, pods - 1)) if pods > 1 and draw(st.booleans()) else None,
        grace_seconds=draw(mostly(30, 0, 300)),
        after=draw(mostly((), (), (), (WorkloadId("w0"),), (WorkloadId("r0"), WorkloadId("w1")))),
        finish_by=draw(mostly(None, None, None, None, Instant(now + 2 * MS_PER_HOUR))),
        uses_compensation=draw(mostly(False, True)),
        project=ProjectName("apollo") if draw(mostly(True, False)) else None,
    )
    since = Instant(now - draw(st.integers(0, 3)) * 1000)
    made = replace(made, spec=spec, submitted_at=since, ages_from=draw(mostly(since, None)))
    if draw(mostly(False, False, True)):
        made = replace(made, not_before=begins_at, eligible_at=begins_at)
    if draw(mostly(False, True)):
        place = ArrayPlace(int(name[1:]), 99, draw(st.sampled_from([None, 1, 2])))
        made = replace(made, spec=replace(spec, array=place), id=WorkloadId(f"sweep-i{name[1:]}"))
    return made
