"""Small worlds for the decision: values with everything that a test does not speak of filled in."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from scheduler.decision.decide import step
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes, Reservation, Snapshot
from scheduler.decision.state import State
from scheduler.domain.allowances import Allowance, AllowanceBalance, AllowanceSource, Holder, HolderKind, Purpose
from scheduler.domain.cluster import GpuClass, Node, Placement, PodRequest
from scheduler.domain.policy import Cohort, Limits, Policy, Pool, PriorityClass, Quota, Tier
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    MS_PER_HOUR,
    AllowanceId,
    AttemptId,
    CohortName,
    EngineerId,
    GpuClassName,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt, AttemptState, HoldMode, Workload, WorkloadKind, WorkloadSpec

NO_LIMITS = Limits()

NOW = Instant(1_795_000_000_000)
"""Within November 2026."""

PERIOD = "2026-11"

H100 = GpuClassName("h100")
A100 = GpuClassName("a100")

URGENT = PriorityClass(PriorityClassName("urgent"), 300)
STANDARD = PriorityClass(PriorityClassName("standard"), 200)
SPARE = PriorityClass(PriorityClassName("spare"), 100, may_start_unfunded=True)


def pool(
    name: str, *, teams: Iterable[str] | None = None, gpus: int = 8, cohort: str | None = None, **changes: Any
) -> Pool:
    nominal = changes.pop("quotas", None) or {H100: Quota(H100, gpus), A100: Quota(A100, gpus)}
    return Pool(
        PoolName(name),
        tuple(TeamName(team) for team in (teams if teams is not None else [name])),
        nominal,
        CohortName(cohort) if cohort is not None else None,
        **changes,
    )


def policy(
    *pools: Pool,
    classes: Iterable[PriorityClass] = (URGENT, STANDARD, SPARE),
    cohorts: Iterable[Cohort] = (),
    limits: Limits = NO_LIMITS,
    tiers: Iterable[Tier] = (),
    **changes: Any,
) -> Policy:
    chosen = pools or (pool("red", gpus=64),)
    made = Policy(
        name="test",
        hash="0",
        gpu_classes={H100: GpuClass(H100, PerMille(1000)), A100: GpuClass(A100, PerMille(500))},
        priority_classes={each.name: each for each in classes},
        tiers={tier.name: tier for tier in tiers},
        pools={each.name: each for each in chosen},
        cohorts={cohort.name: cohort for cohort in cohorts},
        limits=limits,
    )
    return replace(made, **changes)


def node(
    name: str,
    gpus: int = 8,
    *,
    gpu_class: GpuClassName = H100,
    cpu: int = 128_000,
    memory: int = 1_000_000,
    **changes: Any,
) -> Node:
    return Node(NodeName(name), gpu_class, gpus, cpu, memory, **changes)


def nodes(*each: Node) -> dict[NodeName, Node]:
    return {known.name: known for known in each}


def workload(
    name: str,
    *,
    owner: str = "ada",
    team: str = "red",
    gpus: int = 1,
    pods: int = 1,
    priority_class: PriorityClass = STANDARD,
    age: int = 0,
    hours: float = 1,
    classes: tuple[GpuClassName, ...] = (H100,),
    project: str | None = "apollo",
    cpu: int = 1000,
    memory: int = 1024,
    nodes_with: tuple[tuple[str, str], ...] = (),
    **changes: Any,
) -> Workload:
    """A queued workload, submitted `age` seconds ago, that grows old since then, with this many GPUs per pod."""
    spec = WorkloadSpec(
        name=name,
        kind=WorkloadKind.JOB,
        project=ProjectName(project) if project is not None else None,
        gpu_classes=classes,
        priority_class=priority_class.name,
        time_limit_ms=int(hours * MS_PER_HOUR),
        pods=pods,
        pod=PodRequest(gpus, cpu, memory),
        nodes_with=nodes_with,
    )
    since = Instant(NOW - age * 1000)
    changes = {"ages_from": since, **changes}
    return Workload(WorkloadId(name), EngineerId(owner), TeamName(team), spec, since, **changes)


def elastic(name: str, pods: int, least: int, **changes: Any) -> Workload:
    """A job that runs with fewer pods than it asks for."""
    made = workload(name, pods=pods, **changes)
    return replace(made, spec=replace(made.spec, min_pods=least))


def attempt(
    name: str,
    on: str | Mapping[str, int],
    *,
    owner: str = "bob",
    team: str = "red",
    pool: str = "red",
    gpus: int = 1,
    priority_class: PriorityClass = STANDARD,
    running_for: int | None = 3600,
    gpu_class: GpuClassName = H100,
    state: AttemptState = AttemptState.RUNNING,
    **changes: Any,
) -> Attempt:
    """An attempt of the workload `name`, started `running_for` seconds ago, with this many GPUs per pod."""
    pods_by_node = {on: 1} if isinstance(on, str) else on
    started_at = Instant(NOW - running_for * 1000) if running_for is not None else None
    return Attempt(
        id=AttemptId(f"{name}/1"),
        workload_id=WorkloadId(name),
        number=1,
        owner=EngineerId(owner),
        team=TeamName(team),
        pool=PoolName(pool),
        gpu_class=gpu_class,
        priority_class=priority_class.name,
        placement=Placement(tuple((NodeName(each), pods) for each, pods in sorted(pods_by_node.items()))),
        pod=PodRequest(gpus, 1000, 1024),
        weight=PerMille(1000),
        class_factor=PerMille(1000),
        hold_mode=HoldMode.FULL,
        time_limit_ms=MS_PER_HOUR,
        launched_at=started_at if started_at is not None else NOW,
        started_at=started_at,
        state=state,
        **changes,
    )


def balance(
    holder: str = "ada",
    hours: float = 1000,
    *,
    kind: HolderKind = HolderKind.ENGINEER,
    granted: float | None = None,
    name: str | None = None,
    **changes: Any,
) -> AllowanceBalance:
    """A tier grant of this month with that many hours left, of `granted`."""
    allowance_id = AllowanceId(name if name is not None else f"{kind.value}-{holder}")
    allowance = Allowance(
        allowance_id,
        Holder(kind, holder),
        changes.pop("source", AllowanceSource.TIER),
        int((granted if granted is not None else hours) * MS_PER_HOUR),
        changes.pop("starts_at", Instant(0)),
        changes.pop("expires_at", None),
        Instant(0),
        period=PERIOD,
        purposes=changes.pop("purposes", frozenset({Purpose.PROJECT, Purpose.PERSONAL})),
        **changes,
    )
    return AllowanceBalance(allowance, int(hours * MS_PER_HOUR))


def snapshot(
    of_nodes: Mapping[NodeName, Node],
    queued: Iterable[Workload] = (),
    *,
    by: Policy | None = None,
    attempts: Iterable[Attempt] = (),
    balances: Iterable[AllowanceBalance] | None = None,
    reservations: Iterable[Reservation] = (),
    **changes: Any,
) -> Snapshot:
    """Everybody who waits has a thousand hours, unless `balances` says otherwise."""
    waiting = list(queued)
    if balances is None:
        balances = [balance(owner) for owner in sorted({each.owner for each in waiting})]
    return Snapshot(
        now=changes.pop("now", NOW),
        policy=by if by is not None else policy(),
        nodes=of_nodes,
        queued={each.id: each for each in waiting},
        attempts={each.id: each for each in attempts},
        balances={each.allowance.id: each for each in balances},
        reservations={each.workload_id: each for each in reservations},
        **changes,
    )


def everything(of: Snapshot) -> Changes:
    """What a service that starts now is told."""
    return Changes(**{name: value for name, value in vars(of).items() if name != "now"})


def cold(world: Snapshot) -> State:
    """As a first cycle over the whole snapshot leaves it."""
    return step(State(), everything(world), world.now)[0]


def tier(name: str, gpus_max: int | None = None) -> Tier:
    return Tier(TierName(name), 0, gpus_max=gpus_max)


def placements(plan: Plan) -> dict[str, dict[str, int]]:
    """Where each launch goes: workload → node → pods."""
    return {launch.workload_id: dict(launch.placement.pods_by_node) for launch in plan.launches}


def reasons(plan: Plan) -> dict[str, Reason]:
    return {verdict.workload_id: verdict.reason for verdict in plan.verdicts}


def victims(plan: Plan) -> dict[str, list[str]]:
    """Whom each preemptor takes: workload → workloads."""
    return {
        preemption.launch.workload_id: [victim.workload_id for victim in preemption.victims]
        for preemption in plan.preemptions
    }
