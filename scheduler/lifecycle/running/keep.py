"""Keep: what live attempts need as time passes: charges slice by slice, rolling holds renewed, limits enforced."""

from dataclasses import dataclass, replace

from scheduler.domain.brakes import Brake, stopped_recently
from scheduler.domain.observations import ObservedJob
from scheduler.domain.periods import iso
from scheduler.domain.policy import AtExhaustion, Policy, PriorityClass
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    Instant,
    WorkloadId,
    standard_needed,
)
from scheduler.domain.wording import lasting
from scheduler.domain.workloads import Attempt, AttemptState, WorkloadState
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.booked_time import is_due, outlasts_booking, pass_booking
from scheduler.lifecycle.running.charge import charged_until
from scheduler.lifecycle.running.rebooking import is_shaken
from scheduler.lifecycle.running.record import drop_reservation, stop_attempt
from scheduler.lifecycle.running.renew import RENEW_BEFORE_MS, Renewed, charge_until, left_of_holds, renew_in_turn
from scheduler.lifecycle.writing.batch import Batch

CHARGE_EVERY_MS = MS_PER_HOUR
"""Slices are settled lazily: what has run since the last charge is shown as used, and posted at the latest then."""

CHARGE_BEHIND_MS = 10 * MS_PER_MINUTE
"""What runs is charged so far behind: a charge is never taken back, and an end may be reported late, or turn out to
have been at a lost node's last sign of life, which the cluster gives up on after six minutes."""

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


@dataclass(frozen=True, slots=True)
class Kept:
    """What a round of `keep_funded` did, in attempts."""

    charged: int = 0
    renewed: int = 0
    exhausted: int = 0


def keep_funded(batch: Batch) -> Kept:
    """Renew rolling holds, and charge running attempts up to now; what cannot be renewed stops, or goes on unfunded."""
    policy = batch.world.require_policy()
    settled = Instant(batch.now - CHARGE_BEHIND_MS)
    found = renew_slices(batch)
    charged = exhausted = 0
    for attempt_id in sorted(batch.world.attempts):
        attempt = batch.attempt(attempt_id)
        if attempt is None or attempt.started_at is None:
            continue
        is_due = attempt_id in found.renewed or attempt_id in found.short
        priority_class = policy.priority_classes.get(attempt.priority_class)
        if priority_class is not None and attempt_id in found.short:
            if left_of_holds(batch, attempt, batch.now) > 0:
                _warn(batch, attempt, priority_class)
            else:
                exhausted += _exhaust(batch, attempt, priority_class, policy)
        elif attempt_id in found.renewed:
            _take_back_warning(batch, attempt)
        if is_due or batch.now - charged_until(batch, attempt, batch.now) >= CHARGE_EVERY_MS:
            before = batch.attempt(attempt_id) or attempt
            charged += charge_until(batch, before, settled).charged_gpu_ms > before.charged_gpu_ms
    return Kept(charged, len(found.renewed - found.short), exhausted)


def renew_slices(batch: Batch, until: Instant | None = None) -> Renewed:
    """Renew the rolling holds of all that runs, as far as they will be used up soon; or, of what is being
    stopped, too, those due by an instant that is past."""
    states = {AttemptState.RUNNING} if until is None else {AttemptState.RUNNING, AttemptState.STOPPING}
    attempts = (batch.attempt(each) for each in sorted(batch.world.attempts))
    running = [each for each in attempts if each is not None and each.state in states]
    settled = Instant(batch.now - CHARGE_BEHIND_MS)
    soon = Instant((batch.now if until is None else until) + RENEW_BEFORE_MS)
    return renew_in_turn(batch, running, soon, settled)


def slice_cost(attempt: Attempt, slice_ms: int) -> int:
    """Standard GPU-milliseconds of one slice of the attempt."""
    return standard_needed(attempt.gpus * slice_ms, attempt.weight, attempt.class_factor)


def _warn(batch: Batch, attempt: Attempt, priority_class: PriorityClass) -> None:
    """Tell the owner, once, while the last slice still runs."""
    latest = batch.world.verdicts.get(attempt.workload_id)
    if latest is not None and latest.reason is Reason.ALLOWANCE_LOW:
        return
    a_minute = slice_cost(attempt, MS_PER_MINUTE)
    left = left_of_holds(batch, attempt, batch.now)
    goes_on = priority_class.at_exhaustion is AtExhaustion.UNFUNDED
    evidence: dict[str, int | str] = {
        "needed_hours": _hours(slice_cost(attempt, priority_class.slice_ms)),
        "minutes": left // max(1, a_minute),
        "then": "goes on unfunded, and is the first to be preempted" if goes_on else "is stopped, and queued again",
    }
    batch.say(attempt.workload_id, Reason.ALLOWANCE_LOW, evidence)


def _take_back_warning(batch: Batch, attempt: Attempt) -> None:
    latest = batch.world.verdicts.get(attempt.workload_id)
    if latest is not None and latest.reason is Reason.ALLOWANCE_LOW:
        nodes = ", ".join(node for node, _ in attempt.placement.pods_by_node)
        batch.say(attempt.workload_id, Reason.RUNNING, {"nodes": nodes})


def _exhaust(batch: Batch, attempt: Attempt, priority_class: PriorityClass, policy: Policy) -> int:
    """The hold could not be renewed and its last slice is over: stop, or go on unfunded where policy says so."""
    if priority_class.at_exhaustion is AtExhaustion.UNFUNDED:
        batch.put_attempt(replace(attempt, is_funded=False))
        return 1
    limit = policy.exhaustion_rate.limit(batch.world.running_gpus())
    is_braked = any(pause.brake is Brake.RECLAIM for pause in batch.world.pauses)
    stopped = stopped_recently(batch.world.stops, Brake.RECLAIM, batch.now)
    if is_braked or (limit is not None and stopped + attempt.gpus > limit):
        return 0
    needed = slice_cost(attempt, priority_class.slice_ms)
    stop_attempt(batch, attempt, Reason.ALLOWANCE_EXHAUSTED, {"needed_hours": _hours(needed)})
    batch.count_stop(Brake.RECLAIM, attempt.gpus)
    return 1


def _hours(ms: int) -> str:
    return f"{ms / MS_PER_HOUR:.1f} h"
