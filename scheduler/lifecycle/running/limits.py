"""Limits: stop what has run for its time limit, what did not start in time, and whose pods Kubernetes refuses.

Work that waits is given up here, too, once it could not end before its deadline any more.
"""

from scheduler.domain.observations import ObservedJob
from scheduler.domain.periods import iso
from scheduler.domain.policy import Policy
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_MINUTE, Instant, WorkloadId
from scheduler.domain.wording import lasting
from scheduler.domain.workloads import Attempt, AttemptState, WorkloadState
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.booked_time import is_due, outlasts_booking, pass_booking
from scheduler.lifecycle.running.rebooking import is_shaken
from scheduler.lifecycle.running.record import drop_reservation, stop_attempt
from scheduler.lifecycle.writing.batch import Batch

REFUSED_MS = 2 * MS_PER_MINUTE
"""So long Kubernetes may be refused an attempt's pods before it is stopped: its Job controller has then tried eight times,
1, 2, 4 … 64 s apart, and a webhook or a quota that was in the way for a moment no longer is."""


def enforce_limits(batch: Batch) -> list[Attempt]:
    """Stop what has run for its time limit, what has not started within the start timeout, and whose pods are refused."""
    policy = batch.world.require_policy()
    stopped: list[Attempt] = []
    for attempt_id in list(batch.world.attempts):
        attempt = batch.attempt(attempt_id)
        if attempt is None:
            continue
        if attempt.is_booking:
            pass_booking(batch, attempt)
        elif _stop_if_over(batch, attempt, policy):
            stopped.append(attempt)
    for workload_id in batch.world.conditions.overdue(batch.now):
        _give_up(batch, workload_id)
    return stopped


def _stop_if_over(batch: Batch, attempt: Attempt, policy: Policy) -> bool:
    """Stop it where it may run no longer. Returns whether it was."""
    if not _is_over(batch.world, attempt, policy, batch.now):
        return False
    if _has_used_its_limit(attempt, batch.now):
        stop_attempt(batch, attempt, Reason.TIME_LIMIT, {"limit": lasting(attempt.time_limit_ms)})
    elif outlasts_booking(batch.world, attempt, batch.now):
        stop_attempt(batch, attempt, Reason.BOOKING_ENDED, {"booking": str(attempt.booking_id)})
    else:
        _stop_not_started(batch, attempt, policy)
    return True


def _is_over(world: World, attempt: Attempt, policy: Policy, now: Instant) -> bool:
    if attempt.state is AttemptState.RUNNING:
        is_over = _has_used_its_limit(attempt, now) or _is_refused_pods(world, attempt, now)
        return is_over or outlasts_booking(world, attempt, now)
    if attempt.state is AttemptState.LAUNCHING:
        return _start_is_overdue(world, attempt, policy, now) or outlasts_booking(world, attempt, now)
    return False


def _has_used_its_limit(attempt: Attempt, now: Instant) -> bool:
    return attempt.started_at is not None and now - attempt.started_at >= attempt.time_limit_ms


def _stop_not_started(batch: Batch, attempt: Attempt, policy: Policy) -> None:
    waited_ms = min(batch.now - attempt.launched_at, policy.limits.start_timeout_ms)
    cause = _why_not_started(batch.world, attempt)
    stop_attempt(batch, attempt, Reason.START_TIMEOUT, {"minutes": waited_ms // MS_PER_MINUTE, "cause": cause})


def _give_up(batch: Batch, workload_id: WorkloadId) -> None:
    """It could not end before its deadline any more."""
    workload = batch.workload(workload_id)
    if workload is None or workload.state is not WorkloadState.QUEUED or workload.spec.finish_by is None:
        return
    if workload.id in batch.world.reservations:
        drop_reservation(batch, workload.id)
    batch.change_workload(workload, state=WorkloadState.FAILED, state_reason=Reason.DEADLINE)
    batch.say(workload.id, Reason.DEADLINE, {"by": iso(workload.spec.finish_by)})


def limits_are_due(world: World, now: Instant) -> bool:
    """Whether `enforce_limits` would find anything: asked before a transaction is opened for nothing."""
    policy = world.policy
    if policy is None:
        return False
    if world.conditions.overdue(now):
        return True
    live = list(world.attempts.values())
    if any(each.is_booking and (is_due(world, each, now) or is_shaken(world, each, now)) for each in live):
        return True
    return any(_is_over(world, each, policy, now) for each in live if not each.is_booking)


def _start_is_overdue(world: World, attempt: Attempt, policy: Policy, now: Instant) -> bool:
    """The platform pays for image pulls and starts, up to a limit. A call that is still under way is not the owner's."""
    if attempt.workload_id in world.in_flight:
        return False
    is_refused = _is_refused_pods(world, attempt, now)
    return is_refused or now - attempt.launched_at >= policy.limits.start_timeout_ms


def _is_refused_pods(world: World, attempt: Attempt, now: Instant) -> bool:
    """Whether it has been for too long. One that has some of its pods is no more whole than one that has none."""
    job = _refused_pods(world, attempt)
    return job is not None and job.refused_since is not None and now - job.refused_since >= REFUSED_MS


def _refused_pods(world: World, attempt: Attempt) -> ObservedJob | None:
    """The attempt's Job, where Kubernetes has been refused pods of it that it cannot do without."""
    workload = world.workloads.get(attempt.workload_id)
    job = world.job_of(workload) if workload is not None else None
    if job is None or job.attempt_id != attempt.id or job.refused_since is None:
        return None
    needed = attempt.placement.pods if attempt.elastic is None else attempt.elastic.pods_min
    return job if len(world.pods.get(attempt.id, ())) < needed else None


def _why_not_started(world: World, attempt: Attempt) -> str:
    runs = world.pods.get(attempt.id, {})
    refused = _refused_pods(world, attempt)
    if refused is not None:
        some = f"{len(runs)} of its {attempt.placement.pods} pods are there, and " if runs else ""
        return f"{some}Kubernetes refuses {'more' if runs else 'its pods'}: {refused.refused_because}"
    if not runs:
        return "it has no pod: `kubectl describe job` says what kept Kubernetes from making one"
    waiting = [
        pod.waiting_reason
        for run in runs.values()
        if (pod := world.observed_pods.get(run.pod_uid)) is not None and pod.waiting_reason
    ]
    return waiting[0] if waiting else "no container started"
