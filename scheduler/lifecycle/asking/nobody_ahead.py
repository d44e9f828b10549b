"""Nobody ahead: a longer time limit never delays who was promised the same GPUs: a booking, or a reservation."""

from scheduler.decision.ordering.ageing import was_old
from scheduler.decision.placing.ends import latest_end
from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.periods import iso
from scheduler.domain.reasons import Reason
from scheduler.domain.records import RecordedVerdict
from scheduler.domain.units import MS_PER_MINUTE, Instant
from scheduler.domain.workloads import Attempt, Workload, WorkloadState
from scheduler.lifecycle.running.free_ahead import as_known, free_in_window
from scheduler.lifecycle.writing.batch import Batch

_FOR_ROOM = frozenset({Reason.RESOURCES, Reason.TOPOLOGY, Reason.BOOKED})
_HAVE_ROOM_KEPT = _FOR_ROOM | {Reason.PREEMPTION_DELAY, Reason.PREEMPTION_PAUSED, Reason.STOP_RATE, Reason.QUOTA}
"""What those may be told who wait first: who may stop others for it, but not yet, hears of that instead."""


def require_nobody_ahead(batch: Batch, attempt: Attempt, extra_ms: int) -> None:
    """Raises Conflict where the attempt, running so much longer, would meet a booking, outlast the one that it runs
    inside, or keep GPUs from whoever is first to wait for them."""
    ends_at = latest_end(attempt)
    longer = Instant(ends_at + extra_ms)
    _require_within_booking(batch, attempt, longer)
    if not attempt.is_inside:
        _require_no_booking(batch, attempt, ends_at, longer)
        _require_no_reservation(batch, attempt)


def _require_within_booking(batch: Batch, attempt: Attempt, longer: Instant) -> None:
    booking = batch.live_attempt(attempt.booking_id) if attempt.booking_id is not None else None
    if booking is None:
        return
    until = booking.booked_until
    if longer > until:
        raise Conflict(
            f"it runs inside the booking {booking.workload_id}, which ends at {iso(until)}",
            code=RefusalCode.BOOKING_CONFLICT,
            expected=_at_most(until, latest_end(attempt)),
            remedy="extend it by less, or submit it again outside the booking",
        )


def _require_no_booking(batch: Batch, attempt: Attempt, ends_at: Instant, longer: Instant) -> None:
    for booking in sorted(batch.world.attempts.values(), key=lambda each: (each.launched_at, each.id)):
        if not booking.is_booking or not batch.now < booking.launched_at < longer:
            continue
        shared = {name for name, _ in booking.placement.pods_by_node}
        for name, pods in attempt.placement.pods_by_node:
            at, after = booking.launched_at, Instant(booking.launched_at + 1)
            left = free_in_window(batch.world, as_known(batch.world), name, at, after, batch.now, without=attempt.id)
            if name in shared and left < pods * attempt.pod.gpus:
                raise Conflict(
                    f"its GPUs on {name} are booked from {iso(booking.launched_at)} (booking {booking.workload_id})",
                    code=RefusalCode.BOOKING_CONFLICT,
                    expected=_at_most(booking.launched_at, ends_at),
                    remedy="extend it by less, or save the work and submit it again",
                )


def _require_no_reservation(batch: Batch, attempt: Attempt) -> None:
    """Whoever waits for room of its class has it kept free by what is known of ends: this end is one of them."""
    waiting = [
        workload
        for verdict in batch.world.verdicts.values()
        if verdict.reason in _HAVE_ROOM_KEPT
        and (workload := batch.world.workloads.get(verdict.workload_id)) is not None
        and _has_room_kept(batch, workload, verdict, attempt)
    ]
    if waiting:
        first = min(waiting, key=lambda each: (each.waits_since, each.id))
        raise Conflict(
            f"{first.spec.name} ({first.id}) waits first for {attempt.gpu_class}, and its start is reckoned from the "
            "ends of what runs",
            code=RefusalCode.RESERVED_AHEAD,
            expected="no longer time limit while somebody has GPUs of that class kept free",
            remedy="save the work and submit it again: it waits its turn",
        )


def _has_room_kept(batch: Batch, workload: Workload, verdict: RecordedVerdict, attempt: Attempt) -> bool:
    """Whether it is first of those that wait for what the attempt has."""
    if workload.state is not WorkloadState.QUEUED or attempt.gpu_class not in workload.spec.gpu_classes:
        return False
    if verdict.reason in _FOR_ROOM:
        return verdict.evidence.get("gpu_class") == attempt.gpu_class
    return verdict.reason is not Reason.QUOTA or _is_owed_quota(batch, workload, attempt)


def _is_owed_quota(batch: Batch, workload: Workload, attempt: Attempt) -> bool:
    """What has aged has quota kept as well, by its own pool and its cohort."""
    policy = batch.world.require_policy()
    pool, other = policy.pool_of_team.get(workload.team), policy.pools.get(attempt.pool)
    if pool is None or not was_old(pool, workload, batch.now):
        return False
    return pool.name == attempt.pool or (pool.cohort is not None and other is not None and other.cohort is not None)


def _at_most(until: Instant, ends_at: Instant) -> str:
    return f"at most {max(0, until - ends_at) // MS_PER_MINUTE} minutes more"
