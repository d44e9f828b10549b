"""Generated worlds: small clusters under generated policies, with work that runs, stops, waits and holds reservations.

Small numbers on purpose: collisions of priority, age, quota and room are where decisions go wrong.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from scheduler.decision.snapshot import Changes, Reservation, Snapshot
from scheduler.domain.allowances import AllowanceBalance, Holder, HolderKind
from scheduler.domain.brakes import Brake, Pause, StopRate
from scheduler.domain.cluster import GpuClass, Node, Placement
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.guards import GuardOf, GuardWindow, PastSpend, SpendGuard, window_at
from scheduler.domain.policy import (
    BorrowWithinCohort,
    Cohort,
    FairShare,
    Limits,
    OffPeak,
    Order,
    Policy,
    Pool,
    PriorityClass,
    Project,
    Quota,
    ReclaimWithinCohort,
    WithinPool,
)
from scheduler.domain.reasons import Reason
from scheduler.domain.topology import LevelName, TopologyAsk, TopologyLevel, TopologyMode
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    CohortName,
    EngineerId,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    StandardGpuMs,
    TeamName,
    WorkloadId,
)
from scheduler.domain.usage import DecayedUse
from scheduler.domain.workloads import ArrayPlace, Attempt, AttemptState, ElasticTerms, HoldMode, Workload
from tests.decision.applying import workload_of
from tests.decision.builders import A100, H100, NOW, SPARE, STANDARD, attempt, balance, node, workload

EXAMPLES = settings().max_examples // 2
"""A world takes longer to make and to decide than most examples: 25 in every check, 250 where they are searched for."""

OWNERS = ("ada", "bob", "cyd")
TEAMS = ("red", "blue", "green")
CLASSES = (H100, A100)
TOPOLOGY = tuple(TopologyLevel(LevelName(name), name) for name in ("block", "rack"))
ASKS = tuple(TopologyAsk(mode, LevelName(name)) for mode in TopologyMode for name in ("block", "rack", "node"))

small = st.integers(0, 6)


@lru_cache(typed=True)  # in some worlds, made anew each time, these were a fifth of what drawing them took
def mostly(common: object, *rare: object) -> st.SearchStrategy[Any]:
    """The common value three times out of four, so that most of a world is ordinary."""
    return st.sampled_from([common] * 3 * len(rare) + list(rare))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    classes = [
        PriorityClass(
            PriorityClassName(name),
            value,
            hold=draw(st.sampled_from(HoldMode)),
            minimum_runtime_ms=draw(mostly(0, 600_000)),
            preemption_delay_ms=draw(mostly(0, 0, 30_000, 600_000)),
            is_preemptible=draw(mostly(True, False)),
            may_start_unfunded=draw(mostly(True, False)),
            off_peak=draw(mostly(None, None, OffPeak(free=PerMille(500)), OffPeak(20, 6), OffPeak(11, 12))),
        )
        for name, value in (("urgent", 3), ("standard", 2), ("spare", 1))
    ]
    pools = [draw(_pools(team)) for team in TEAMS]
    hours = st.integers(1, 20)
    importance = draw(mostly(1000, 500, 3000))
    return Policy(
        name="generated",
        hash="0",
        gpu_classes={H100: GpuClass(H100, PerMille(1000)), A100: GpuClass(A100, PerMille(500))},
        priority_classes={each.name: each for each in classes},
        tiers={},
        pools={each.name: each for each in pools},
        cohorts={each.name: each for each in draw(_cohorts())},
        projects={ProjectName("apollo"): Project(ProjectName("apollo"), TeamName("red"), PerMille(importance))},
        topology=TOPOLOGY,
        fair_share=FairShare(draw(st.sampled_from([MS_PER_HOUR, 7 * MS_PER_DAY]))),
        limits=Limits(
            gpus_per_engineer=draw(mostly(None, None, 4)),
            gpus_per_team=draw(mostly(None, None, 8)),
            unfunded_gpus_per_engineer=draw(mostly(6, 0, 2)),
        ),
        spend_guards=tuple(
            SpendGuard(f"{of.value} {window.value}", of, window, soft=MS_PER_HOUR, hard=draw(hours) * MS_PER_HOUR)
            for of in GuardOf
            for window in GuardWindow
            if draw(mostly(False, True))
        ),
        preempt_rate=draw(mostly(StopRate(None), StopRate(PerMille(300), floor=2))),
        consolidation=draw(
            mostly(
                ConsolidationTerms(),
                ConsolidationTerms(frozenset({STANDARD.name, SPARE.name}), lost_max=4 * MS_PER_HOUR, moves_max=3),
            )
        ),
    )


@st.composite
def _cohorts(draw: st.DrawFn) -> list[Cohort]:
    """One alone, or two in one another, which may have something of their own; and at times one that only lends."""
    limit = mostly(None, 0, 3)
    shared = {
        gpu_class: Quota(gpu_class, draw(st.sampled_from([0, 2, 4])), draw(limit), draw(limit))
        for gpu_class in CLASSES
        if draw(mostly(False, True))
    }
    part = Cohort(CohortName("part"), draw(mostly(CohortName("all"), None)), shared)
    rest = Cohort(CohortName("rest"), CohortName("all"), {H100: Quota(H100, 2, lending_limit=draw(limit))})
    return [Cohort(CohortName("all")), part, *([rest] if draw(mostly(False, True)) else [])]


@st.composite
def _pools(draw: st.DrawFn, team: str) -> Pool:
    quotas = {
        gpu_class: Quota(
            gpu_class, draw(st.sampled_from([2, 4, 8])), draw(mostly(None, 0, 3)), draw(mostly(None, 0, 3))
        )
        for gpu_class in CLASSES
        if draw(mostly(True, False))
    }
    return Pool(
        PoolName(team),
        (TeamName(team),),
        quotas,
        cohort=draw(st.sampled_from([*map(CohortName, ("all", "all", "part", "part")), None])),
        order=draw(st.sampled_from(Order)),
        ageing_ms=draw(mostly(7 * MS_PER_DAY, 2_000, 400_000)),
        ageing_per_engineer=draw(mostly(2, 1)),
        within_pool=draw(mostly(WithinPool.LOWER_PRIORITY, *WithinPool)),
        reclaim_within_cohort=draw(mostly(ReclaimWithinCohort.ANY, *ReclaimWithinCohort)),
        borrow_within_cohort=draw(st.sampled_from(BorrowWithinCohort)),
        borrow_threshold=draw(st.sampled_from([None, 1, 2])),
    )


@st.composite
def nodes_of(draw: st.DrawFn, name: str) -> Node:
    gpus = draw(mostly(8, 4, 2))
    return node(
        name,
        gpus,
        gpu_class=draw(mostly(H100, H100, A100)),
        cpu=draw(mostly(9, 2, 4)) * 1000,
        labels={"rack": draw(st.sampled_from(["a", "b"]))}
        | dict(draw(mostly((), (("block", "x"),), (("block", "y"),)))),
        accepts_work=draw(mostly(True, True, True, False)),
    )


@st.composite
def workloads(draw: st.DrawFn, name: str) -> Workload:
    made = workload(
        name,
        owner=draw(st.sampled_from(OWNERS)),
        team=draw(st.sampled_from(TEAMS)),
        gpus=draw(st.sampled_from([1, 2, 3, 4, 2])),
        pods=draw(mostly(1, 2, 3)),
        age=draw(st.integers(0, 3)),
        hours=draw(st.sampled_from([1, 2, 5])),
        classes=draw(mostly((H100,), (H100,), (A100,), (H100, A100))),
        project=draw(st.sampled_from(["apollo", None])),
        nodes_with=draw(mostly((), (), (("rack", "a"),))),
        not_before=Instant(draw(mostly(0, 0, 0, NOW + 60_000))),
        state_reason=draw(st.sampled_from([Reason.SUBMITTED, Reason.START_TIMEOUT])),
    )
    made = replace(made, ages_from=draw(mostly(made.ages_from, None)))
    priority = draw(st.sampled_from(["urgent", "standard", "standard", "spare"]))
    spec = replace(
        made.spec,
        priority_class=PriorityClassName(priority),
        topology=draw(mostly(None, *ASKS)),
        min_pods=draw(st.integers(1, made.spec.pods - 1))
        if made.spec.pods > 1 and draw(mostly(False, True))
        else None,
        after=draw(mostly((), (), (WorkloadId("w0"),))),
        finish_by=draw(mostly(None, None, Instant(NOW + 2 * MS_PER_HOUR + 30_000), Instant(NOW + MS_PER_HOUR - 1))),
    )
    if draw(mostly(False, True)):
        place = ArrayPlace(int(name[1:] or 0), 9, draw(st.sampled_from([None, 1, 2]))) if name[1:].isdigit() else None
        return replace(
            made, spec=replace(spec, array=place), id=WorkloadId(f"sweep-i{name[1:]}") if place else made.id
        )
    return replace(made, spec=spec)


@st.composite
def attempts_on(draw: st.DrawFn, name: str, known: list[Node]) -> Attempt | None:
    """An attempt on nodes where it fits beside nothing: whoever uses it checks that it fits beside the others."""
    first = draw(st.sampled_from(known))
    pods = draw(mostly(1, 2))
    team = draw(st.sampled_from(TEAMS))
    made = attempt(
        draw(mostly(name, f"sweep-i5{name[1:]}")),
        {first.name: pods},
        owner=draw(st.sampled_from(OWNERS)),
        team=team,
        pool=team,
        gpus=draw(st.integers(1, 4)),
        running_for=draw(st.sampled_from([3600, 60, 0, None])),
        gpu_class=first.gpu_class or H100,
        state=draw(mostly(AttemptState.RUNNING, AttemptState.STOPPING)),
        is_funded=draw(mostly(True, False)),
        is_borrowed=draw(st.booleans()),
        stop_reason=draw(st.sampled_from([Reason.PREEMPTED, Reason.CANCELLED])),
        submitted_at=Instant(NOW - draw(st.integers(0, 3)) * 1000),
        checkpointed_at=draw(mostly(None, Instant(NOW - 60_000), Instant(NOW - MS_PER_HOUR))),
    )
    made = replace(made, priority_class=PriorityClassName(draw(st.sampled_from(["urgent", "standard", "spare"]))))
    if pods == 1 or draw(mostly(True, False)):
        return made
    terms = ElasticTerms(
        1, draw(st.sampled_from([2, 3, 5])), project=draw(st.sampled_from([None, ProjectName("apollo")]))
    )
    elastic = replace(made, elastic=terms)
    return elastic.shrunk_to(1) if draw(mostly(False, True)) else elastic


def fitting(candidates: list[Attempt], nodes: dict[NodeName, Node]) -> list[Attempt]:
    """Those attempts that can run beside each other: the first come stay."""
    gpus = {name: each.gpus for name, each in nodes.items()}
    cpu = {name: each.cpu_milli for name, each in nodes.items()}
    kept = []
    for each in candidates:
        places = [*each.placement.pods_by_node, *(each.leaving.pods_by_node if each.leaving is not None else ())]
        of_node = {on: sum(pods for name, pods in places if name == on) for on, _ in places}
        if all(gpus[on] >= n * each.pod.gpus and cpu[on] >= n * each.pod.cpu_milli for on, n in of_node.items()):
            kept.append(each)
            for on, pods in places:
                gpus[on] -= pods * each.pod.gpus
                cpu[on] -= pods * each.pod.cpu_milli
    return kept


@st.composite
def balances_of(draw: st.DrawFn) -> list[AllowanceBalance]:
    made = [balance(owner, draw(mostly(40, 0, 0, 20)), granted=50) for owner in OWNERS]
    made += [balance(team, draw(mostly(0, 10)), kind=HolderKind.TEAM) for team in TEAMS]
    if draw(st.booleans()):
        made.append(balance("apollo", 5, kind=HolderKind.PROJECT, starts_at=Instant(NOW + 30_000)))
    return made


@st.composite
def _past_spends(draw: st.DrawFn) -> PastSpend:
    windows = [(kind, window_at(kind, NOW, "UTC")) for kind in GuardWindow]
    hours = st.integers(0, 10)
    return PastSpend(
        tuple((kind, period.starts_at, draw(hours) * MS_PER_HOUR) for kind, period in windows if period is not None)
    )


@st.composite
def snapshots(draw: st.DrawFn, *, waiting: int = 8, running: int = 6) -> Snapshot:
    known = [draw(nodes_of(f"n{number}")) for number in range(draw(mostly(3, 0, 2, 5)))]
    by_name = {each.name: each for each in known}
    count = draw(mostly(running, 0, running // 2)) if known else 0
    candidates = [draw(attempts_on(f"r{number}", known)) for number in range(count)]
    queued = [draw(workloads(f"w{number}")) for number in range(draw(mostly(waiting, 0, 1)))]
    by_id = {each.id: each for each in queued}
    reservations = [
        Reservation(
            each.id,
            H100,
            Placement(((draw(st.sampled_from(known)).name, each.spec.pods_at_least),)),
            Instant(NOW + draw(mostly(60_000, 0))),
            is_move=draw(mostly(False, False, True)),
        )
        for each in queued
        if known and draw(mostly(False, False, True))
    ]
    used = [owner for owner in OWNERS if draw(st.booleans())]
    past = [Holder(HolderKind.ENGINEER, OWNERS[0]), Holder(HolderKind.TEAM, TEAMS[0])]
    pauses = draw(mostly((), (), (Brake.LAUNCH,), (Brake.PREEMPT,)))
    attempts = fitting([each for each in candidates if each is not None], by_name)
    moving = {each.workload_id: workload_of(each) for each in attempts}
    for each in attempts:
        if each.state is AttemptState.STOPPING and draw(mostly(False, True)):
            on = draw(st.sampled_from(known)).name
            place = Placement(((on, each.placement.pods),))
            reservations.append(Reservation(each.workload_id, each.gpu_class, place, NOW, is_move=True))
    return Snapshot(
        now=NOW,
        policy=draw(policies()),
        nodes=by_name,
        queued=by_id,
        attempts={each.id: each for each in attempts},
        launched=moving,
        balances={each.allowance.id: each for each in draw(balances_of())},
        reservations={each.workload_id: each for each in reservations},
        usage={
            EngineerId(owner): DecayedUse(StandardGpuMs(draw(st.integers(0, 60)) * MS_PER_HOUR), NOW)
            for owner in used
        },
        spent={holder: draw(_past_spends()) for holder in past if draw(mostly(False, True))},
        pauses=tuple(Pause(brake, "ops", "test", NOW) for brake in pauses),
    )


@st.composite
def splits(draw: st.DrawFn, first: Snapshot, last: Snapshot) -> list[Changes]:
    """From nothing over the first snapshot to the last, in one to four steps; the policy is the last's from the start."""
    steps = draw(st.integers(1, 4))
    priced = draw(st.integers(0, steps - 1))
    fields = ("nodes", "queued", "attempts", "launched", "balances", "reservations", "tiers", "usage", "spent")
    entries: list[list[tuple[str, str, object]]] = [[] for _ in range(steps)]
    for name in fields:
        before, after = getattr(first, name), getattr(last, name)
        for key in sorted({*before, *after}):
            at = draw(st.integers(0, steps - 1))
            if key in before and at > 0:
                entries[draw(st.integers(0, at - 1))].append((name, key, before[key]))
            entries[at].append((name, key, after.get(key)))
    made = []
    for position, chosen in enumerate(entries):
        values = {name: {key: value for kind, key, value in chosen if kind == name} for name in fields}
        is_last = position == steps - 1
        made.append(
            Changes(
                policy=last.policy if position == 0 else None,
                pauses=last.pauses if is_last else first.pauses,
                stops=last.stops if is_last else None,
                prices=last.prices if position == priced else None,
                **values,  # type: ignore[arg-type] # the six mappings by name
            )
        )
    return made
