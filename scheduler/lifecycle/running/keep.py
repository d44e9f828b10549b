"""Keep: what live attempts need as time passes: charges slice by slice, and rolling holds renewed."""

from dataclasses import dataclass, replace

from scheduler.domain.brakes import Brake, stopped_recently
from scheduler.domain.hours import hours_at_most
from scheduler.domain.policy import AtExhaustion, Policy, PriorityClass
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    Instant,
    standard_needed,
)
from scheduler.domain.workloads import Attempt, AttemptState
from scheduler.lifecycle.running.charge import charged_until
from scheduler.lifecycle.running.record import stop_attempt
from scheduler.lifecycle.running.renew import RENEW_BEFORE_MS, Renewed, charge_until, left_of_holds, renew_in_turn
from scheduler.lifecycle.writing.batch import Batch

CHARGE_EVERY_MS = MS_PER_HOUR
"""Slices are settled lazily: what has run since the last charge is shown as used, and posted at the latest then."""

CHARGE_BEHIND_MS = 10 * MS_PER_MINUTE
"""What runs is charged so far behind: a charge is never taken back, and an end may be reported late, or turn out to
have been at a lost node's last sign of life, which the cluster gives up on after six minutes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a round of `keep_funded` did, in attempts."""

    charged: int = 0
    renewed: int = 0
    exhausted: int = 0


def keep_funded(batch: Batch) -> Kept:
    """Renew rolling holds, and charge what runs up to `CHARGE_BEHIND_MS` ago; what cannot be renewed stops, or goes on
    unfunded where policy says so."""
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
        "needed_hours": f"{hours_at_most(slice_cost(attempt, priority_class.slice_ms))} h",
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
    stop_attempt(batch, attempt, Reason.ALLOWANCE_EXHAUSTED, {"needed_hours": f"{hours_at_most(needed)} h"})
    batch.count_stop(Brake.RECLAIM, attempt.gpus)
    return 1
