"""Workloads as their owners and operators read them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from scheduler.decision.plan import Verdict
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import quantity_text
from scheduler.domain.reasons import Reason, for_others, next_step
from scheduler.domain.records import PodRun, RecordedVerdict
from scheduler.domain.units import (
    STANDARD_GPU,
    AttemptId,
    EngineerId,
    Instant,
    TeamName,
    Unit,
    WorkloadId,
    standard_needed,
    standard_total,
)
from scheduler.domain.workloads import Attempt, Workload, WorkloadState
from scheduler.ledger.holds import Hold
from scheduler.lifecycle.memory.named import evidence_named, sentence_named
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.charge import gpu_ms_of
from scheduler.lifecycle.views.shapes import AttemptView, VerdictView, WorkloadView
from scheduler.lifecycle.views.sizes import sizes_text
from scheduler.ports import Books

SeesPay = Callable[[EngineerId], bool]
"""Whether the reader may see what this engineer has left and has used."""


def verdict_view(world: World, verdict: RecordedVerdict, name: str, *, sees_pay: bool) -> VerdictView:
    evidence = evidence_named(world, verdict.evidence if sees_pay else for_others(verdict.evidence))
    return VerdictView(
        workload_id=verdict.workload_id,
        workload_name=name,
        at=verdict.at,
        reason=verdict.reason,
        sentence=sentence_named(world, verdict.reason, verdict.evidence, sees_pay=sees_pay),
        next_step=next_step(verdict.reason, verdict.evidence),
        evidence=evidence,
        seq=verdict.seq,
    )


def workload_views(
    books: Books,
    world: World,
    workloads: Sequence[Workload],
    now: Instant,
    sees_pay: SeesPay,
    present: Mapping[WorkloadId, Verdict],
) -> list[WorkloadView]:
    """Each with its latest verdict, its live or last attempt, and what it was charged in all, by as many queries for
    fifty as for one. A verdict is kept when its code changes, and its numbers go on changing: `present` has those of
    now for who waits."""
    attempts = books.attempts.of_workloads([workload.id for workload in workloads])
    silent = [workload.id for workload in workloads if workload.id not in world.verdicts]
    verdicts = {**books.verdicts.latest(silent), **_known_verdicts(world, workloads, present)}
    views = []
    for workload in workloads:
        verdict, own = verdicts.get(workload.id), attempts[workload.id]
        told = (
            _first_verdict(world, workload)
            if verdict is None
            else verdict_view(world, verdict, workload.spec.name, sees_pay=sees_pay(workload.owner))
        )
        runs = list(world.pods.get(own[-1].id, {}).values()) if own else []
        views.append(_assembled(world, workload, now, told, own, runs))
    return views


def unfinished(
    world: World, states: Sequence[WorkloadState], owner: EngineerId | None, team: TeamName | None
) -> list[Workload]:
    """Those in these states, none of them final, newest first: the world has them all, and somebody's unfinished work is
    not looked for in all that they ever submitted."""
    found = [
        workload
        for workload in list(world.workloads.values())
        if workload.state in states and owner in {None, workload.owner} and team in {None, workload.team}
    ]
    return sorted(found, key=lambda workload: (workload.submitted_at, workload.id), reverse=True)


def fresh_view(world: World, workload: Workload, now: Instant) -> WorkloadView:
    """A workload that was submitted and not touched since: it has no attempt, and nothing need be read."""
    return _assembled(world, workload, now, _first_verdict(world, workload), (), ())


def _assembled(
    world: World,
    workload: Workload,
    now: Instant,
    verdict: VerdictView,
    attempts: Sequence[Attempt],
    runs: Sequence[PodRun],
) -> WorkloadView:
    last = attempts[-1] if attempts else None
    spec = workload.spec
    return WorkloadView(
        id=workload.id,
        name=spec.name,
        kind=spec.kind.value,
        owner=workload.owner,
        owner_name=owner_name(world, workload),
        team=workload.team,
        project=spec.project,
        state=workload.state.value,
        verdict=verdict,
        pods=spec.pods,
        min_pods=spec.min_pods,
        pods_now=last.placement.pods if last is not None and last.is_live else 0,
        gpus_per_pod=spec.pod.gpus,
        gpu_classes=spec.gpu_classes,
        gpu_class=last.gpu_class if last is not None else "",
        priority_class=spec.priority_class,
        time_limit_ms=spec.time_limit_ms,
        submitted_at=workload.submitted_at,
        started_at=last.started_at if last is not None else None,
        ended_at=last.ended_at if last is not None else None,
        elapsed_ms=_elapsed_ms(last, now),
        charged=sum(used_so_far(attempt, runs if attempt is last else (), now) for attempt in attempts),
        asked=_asked(workload, last, world.policy),
        attempts=len(attempts),
        nodes=tuple(node for node, _ in last.placement.pods_by_node) if last is not None else (),
        is_funded=last.is_funded if last is not None else True,
        namespace=workload.namespace,
        job_name=workload.job_name,
        topology=str(spec.topology or ""),
        address=_address(world, workload),
    )


def owner_name(world: World, workload: Workload) -> str:
    """What people call whose work it is; empty for a person who was forgotten."""
    engineer = world.people.get(workload.owner)
    return engineer.name or engineer.subject if engineer is not None else ""


def _known_verdicts(
    world: World, workloads: Sequence[Workload], present: Mapping[WorkloadId, Verdict]
) -> dict[WorkloadId, RecordedVerdict]:
    known = ((workload.id, world.verdicts.get(workload.id)) for workload in workloads)
    return {
        workload_id: _as_of_now(verdict, present.get(workload_id))
        for workload_id, verdict in known
        if verdict is not None
    }


def _as_of_now(kept: RecordedVerdict, present: Verdict | None) -> RecordedVerdict:
    """With the numbers of now, where it is said for the same reason still: another one is news of the next record."""
    if present is None or present.reason is not kept.reason:
        return kept
    if "cause" in kept.evidence:  # recorded when it happened; a decision knows only by which reason it ended
        return replace(kept, evidence={**present.evidence, "cause": kept.evidence["cause"]})
    return replace(kept, evidence=present.evidence)


def _first_verdict(world: World, workload: Workload) -> VerdictView:
    """Before anything was decided on it: its state's own reason."""
    known = RecordedVerdict(0, workload.id, workload.state_since, workload.state_reason, {})
    return verdict_view(world, known, workload.spec.name, sees_pay=True)


def _elapsed_ms(attempt: Attempt | None, now: Instant) -> int:
    if attempt is None or attempt.started_at is None:
        return 0
    return max(0, (attempt.ended_at if attempt.ended_at is not None else now) - attempt.started_at)


def used_so_far(attempt: Attempt, runs: Sequence[PodRun], now: Instant) -> int:
    """Standard GPU-milliseconds: what is charged, and what has run since the last charge. Inside a booking that one pays;
    what lies beyond its end is counted once it is charged."""
    if not attempt.is_live or attempt.is_inside:
        return attempt.charged
    return max(attempt.charged, standard_total(gpu_ms_of(runs, now), attempt.weight, attempt.class_factor))


def _asked(workload: Workload, last: Attempt | None, policy: Policy | None) -> int:
    """What the time limit costs at most: at the terms of its launch, or, while it waits for one, on the dearest of the GPU
    classes on which it may start."""
    spec = workload.spec
    gpu_ms = spec.gpus * spec.time_limit_ms
    if last is not None and workload.state is not WorkloadState.QUEUED:
        return standard_needed(gpu_ms, last.weight, last.class_factor)
    priority_class = policy.priority_classes.get(spec.priority_class) if policy is not None else None
    if policy is None or priority_class is None:
        return 0
    weights = (known.weight for name in spec.gpu_classes if (known := policy.gpu_classes.get(name)) is not None)
    return max((standard_needed(gpu_ms, weight, priority_class.class_factor) for weight in weights), default=0)


def _address(world: World, workload: Workload) -> str:
    """Where a sandbox answers inside the cluster, once it runs."""
    if workload.spec.kind.value != "sandbox" or workload.state_reason is not Reason.RUNNING:
        return ""
    port = world.policy.sandbox.port if world.policy is not None else 0
    return f"http://{workload.id}.{workload.namespace}.svc:{port}"


def attempt_view(
    attempt: Attempt, runs: Sequence[PodRun], holds: Sequence[Hold], now: Instant, *, sees_pay: bool
) -> AttemptView:
    """What pay paid is told to those alone who see it."""
    gpu_ms = gpu_ms_of(runs, now)
    return AttemptView(
        id=attempt.id,
        number=attempt.number,
        state=attempt.state.value,
        gpu_class=attempt.gpu_class,
        nodes=tuple(node for node, _ in attempt.placement.pods_by_node),
        pods=attempt.placement.pods,
        sizes=sizes_text(attempt, attempt.launched_at, attempt.ended_at if attempt.ended_at is not None else now),
        gpus=attempt.gpus,
        weight=attempt.weight,
        class_factor=attempt.class_factor,
        is_funded=attempt.is_funded,
        is_borrowed=attempt.is_borrowed,
        launched_at=attempt.launched_at,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        stop_reason=attempt.stop_reason.value if attempt.stop_reason is not None else "",
        gpu_ms=max(gpu_ms, attempt.charged_gpu_ms),
        charged=used_so_far(attempt, runs, now),
        held=sum(hold.in_standard(hold.remaining, attempt) for hold in holds if hold.resolved_at is None),
        drawn=_drawn(attempt, [hold for hold in holds if sees_pay or hold.unit != STANDARD_GPU]),
    )


def _drawn(attempt: Attempt, holds: Sequence[Hold]) -> tuple[str, ...]:
    """What was charged otherwise than in standard time at the attempt's own terms: what pay paid at those of its grant,
    and each other unit."""
    sums: dict[Unit, int] = {}
    kept_gpu_ms = 0
    for hold in holds:
        if hold.draw is not None and hold.charged:
            sums[hold.unit] = sums.get(hold.unit, 0) + hold.charged
            kept_gpu_ms += hold.draw.gpu_ms if hold.unit == STANDARD_GPU else 0
    standard = quantity_text(standard_total(kept_gpu_ms, attempt.weight, attempt.class_factor), STANDARD_GPU)
    return tuple(
        quantity_text(amount, unit)
        + (f" of pay at the terms of its grant for {standard}" if unit == STANDARD_GPU else "")
        for unit, amount in sorted(sums.items())
    )


def attempt_views(books: Books, workload_id: WorkloadId, now: Instant, *, sees_pay: bool) -> tuple[AttemptView, ...]:
    attempts = books.attempts.of_workload(workload_id)
    ids = [attempt.id for attempt in attempts]
    runs: Mapping[AttemptId, list[PodRun]] = books.attempts.pods_of(ids)
    holds = books.holds.of_attempts(ids)
    return tuple(attempt_view(a, runs.get(a.id, []), holds.get(a.id, []), now, sees_pay=sees_pay) for a in attempts)
