"""What becomes of a world when a plan is recorded, and when those being stopped have ended."""

from dataclasses import replace

from scheduler.decision.plan import Growth, Launch, Plan
from scheduler.decision.snapshot import Reservation, Snapshot
from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.cluster import Placement
from scheduler.domain.reasons import Reason
from scheduler.domain.units import AllowanceId, AttemptId, Instant, ProjectName
from scheduler.domain.usage import begins_to_age
from scheduler.domain.workloads import (
    Attempt,
    AttemptState,
    ElasticTerms,
    HoldMode,
    Workload,
    WorkloadKind,
    WorkloadSpec,
)


def recorded(snapshot: Snapshot, plan: Plan) -> Snapshot:
    """The snapshot after the plan's transaction: launching, stopping, reserved, held."""
    queued, attempts = dict(snapshot.queued), dict(snapshot.attempts)
    launched = dict(snapshot.launched)
    reservations, balances = dict(snapshot.reservations), dict(snapshot.balances)
    for workload_id in plan.ageing:
        waits = queued[workload_id]
        queued[workload_id] = replace(waits, ages_from=begins_to_age(waits, plan.now))
    for lapsed in plan.lapsed:
        del reservations[lapsed]
    for launch in plan.launches:
        workload = queued.pop(launch.workload_id)
        reservations.pop(launch.workload_id, None)
        made = _attempt(snapshot, workload, launch)
        attempts[made.id] = made
        launched[workload.id] = workload
        _hold(balances, launch)
    for preemption in plan.preemptions:
        launch = preemption.launch
        _hold(balances, launch)
        reservations[launch.workload_id] = Reservation(
            launch.workload_id, launch.gpu_class, launch.placement, preemption.until, launch.is_borrowed
        )
        for move in preemption.moves:
            _hold(balances, move)
            reservations[move.workload_id] = Reservation(
                move.workload_id, move.gpu_class, move.placement, preemption.until, move.is_borrowed, is_move=True
            )
        for victim in preemption.victims:
            if victim.pods_left is not None:
                attempts[victim.attempt_id] = attempts[victim.attempt_id].shrunk_to(victim.pods_left)
                continue
            attempts[victim.attempt_id] = replace(
                attempts[victim.attempt_id], state=AttemptState.STOPPING, stop_reason=Reason.PREEMPTED
            )
    for growth in plan.growths:
        attempts[growth.attempt_id] = replace(
            attempts[growth.attempt_id], placement=growth.placement, is_borrowed=growth.is_borrowed
        )
        _hold(balances, growth)
    return replace(
        snapshot,
        queued=queued,
        attempts=attempts,
        launched=launched,
        reservations=reservations,
        balances=balances,
    )


def ended(snapshot: Snapshot) -> Snapshot:
    """The snapshot after all that was stopping has ended. What was preempted waits again, as old as it was."""
    queued, attempts, launched = dict(snapshot.queued), dict(snapshot.attempts), dict(snapshot.launched)
    for attempt in snapshot.attempts.values():
        if attempt.state is AttemptState.STOPPING:
            del attempts[attempt.id]
            if attempt.stop_reason is Reason.PREEMPTED:
                workload = launched.pop(attempt.workload_id, None) or workload_of(attempt)
                queued[workload.id] = workload
        elif attempt.leaving is not None:
            attempts[attempt.id] = replace(attempt, leaving=None)
    return replace(snapshot, queued=queued, attempts=attempts, launched=launched)


def workload_of(attempt: Attempt) -> Workload:
    """The workload that an attempt could be one of."""
    spec = WorkloadSpec(
        name=attempt.workload_id,
        kind=WorkloadKind.JOB,
        project=ProjectName("apollo"),
        gpu_classes=(attempt.gpu_class,),
        priority_class=attempt.priority_class,
        time_limit_ms=attempt.time_limit_ms,
        pods=attempt.elastic.pods_max if attempt.elastic is not None else attempt.placement.pods,
        pod=attempt.pod,
        min_pods=attempt.elastic.pods_min if attempt.elastic is not None else None,
    )
    submitted_at = attempt.submitted_at if attempt.submitted_at is not None else attempt.launched_at
    since = Instant(submitted_at)
    return Workload(attempt.workload_id, attempt.owner, attempt.team, spec, since, ages_from=since)


def _attempt(snapshot: Snapshot, workload: Workload, launch: Launch) -> Attempt:
    policy = snapshot.policy
    placement: Placement = launch.placement
    return Attempt(
        id=AttemptId(f"{workload.id}/{snapshot.now}/{len(snapshot.attempts)}"),
        workload_id=workload.id,
        number=1,
        owner=workload.owner,
        team=workload.team,
        pool=launch.pool,
        gpu_class=launch.gpu_class,
        priority_class=workload.spec.priority_class,
        placement=placement,
        pod=workload.spec.pod,
        weight=policy.gpu_classes[launch.gpu_class].weight,
        class_factor=policy.priority_classes[workload.spec.priority_class].class_factor,
        hold_mode=HoldMode.FULL,
        time_limit_ms=workload.spec.time_limit_ms,
        launched_at=snapshot.now,
        is_funded=launch.is_funded,
        is_borrowed=launch.is_borrowed,
        submitted_at=workload.waits_since,
        booking_id=launch.booking_id,
        elastic=ElasticTerms.of(workload.spec),
    )


def _hold(balances: dict[AllowanceId, AllowanceBalance], launch: Launch | Growth) -> None:
    for share in launch.funding:
        known = balances[share.allowance_id]
        balances[share.allowance_id] = replace(
            known, available=known.available - share.amount, held=known.held + share.amount
        )


def over(world: Snapshot, now: Instant) -> Snapshot:
    """At that instant, if everything uses its time limit and grace to the full; what is stopped ends, and does not come
    back."""
    live = {
        known.id: known
        for known in world.attempts.values()
        if known.stop_reason is None and known.launched_at + known.time_limit_ms + known.grace_seconds * 1000 > now
    }
    return replace(world, attempts=live, now=now)
