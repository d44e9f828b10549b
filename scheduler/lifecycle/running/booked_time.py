"""Booked time: what becomes of a booking as its window comes, passes, or is given back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.periods import iso
from scheduler.domain.reasons import Reason
from scheduler.domain.records import EndEvidence, PodRun
from scheduler.domain.units import MS_PER_HOUR, MS_PER_SECOND, Instant, NodeName, PodUid, whole_second
from scheduler.domain.workloads import Attempt, AttemptState, Workload, WorkloadState
from scheduler.ledger.fees import charge_fee
from scheduler.ledger.holding import release
from scheduler.ledger.holds import Hold
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.charge import charged_up_to, gpu_ms_of
from scheduler.lifecycle.running.free_ahead import Had, as_known, as_left_by, booked_here
from scheduler.lifecycle.running.rebooking import begin_where_free, is_at_risk, is_shaken, keep_booking, lacking
from scheduler.lifecycle.running.renew import charge_until
from scheduler.lifecycle.writing.batch import Batch


def is_due(world: World, attempt: Attempt, now: Instant) -> bool:
    """Whether its window has begun or ended, or it has other GPUs in it than before, and its books do not say so yet."""
    if now < attempt.launched_at:
        return False
    if attempt.booked_until <= now:
        return True
    if not world.nodes:
        return False  # nothing was reported yet: nobody knows what it has
    if attempt.started_at is None:
        return not world.rounds.is_cluster_away
    runs = world.pods.get(attempt.id, {}).values()
    return bool(_changed(runs, booked_here(world, as_known(world), attempt, now), now))


def outlasts_booking(world: World, attempt: Attempt, now: Instant) -> bool:
    """Whether it runs inside a booking which is over before its grace is, were it told to stop now: from there on its owner
    owes for it. As a rule its time limit ends before; but that counts from its pods' start, which may have been late."""
    if not attempt.is_inside or attempt.booking_id is None:
        return False
    booking = world.live_attempt(attempt.booking_id)
    return booking is None or booking.booked_until <= now + attempt.grace_seconds * MS_PER_SECOND


def pass_booking(batch: Batch, attempt: Attempt) -> None:
    """Start it when its window begins, and close its books when that is over."""
    if is_shaken(batch.world, attempt, batch.now):
        attempt = keep_booking(batch, attempt)
    if not is_due(batch.world, attempt, batch.now):
        return
    workload = batch.workload(attempt.workload_id)
    assert workload is not None, "a live attempt has a workload"
    if attempt.started_at is None and attempt.booked_until <= batch.now:
        _miss(batch, workload, attempt, "neither this service nor its cluster was there to start anything")
        return
    if attempt.started_at is None and lacking(batch, attempt) == attempt.gpus:
        _end(batch, workload, attempt, batch.now, WorkloadState.CANCELLED, Reason.BOOKING_AT_RISK)
        return
    if attempt.started_at is None:
        attempt = _start(batch, workload, begin_where_free(batch, attempt))
        if lacking(batch, attempt):  # that it runs is not all that its owner is to know
            attempt = keep_booking(batch, attempt)
        workload = batch.workload(workload.id) or workload
    if attempt.booked_until > batch.now:
        _follow_nodes(batch, attempt, max(attempt.launched_at, whole_second(batch.now)))
    elif gpu_ms_of(batch.pod_runs(attempt.id), attempt.booked_until):
        _end(batch, workload, attempt, attempt.booked_until, WorkloadState.COMPLETED, Reason.COMPLETED)
    else:
        _miss(batch, workload, attempt, "its nodes were lost or others still had its GPUs")


def cancel_booking(batch: Batch, workload: Workload) -> int:
    """Give it back: what its window has used stays charged, and late, a share of the rest with it. Returns the fee in
    standard GPU-milliseconds."""
    attempt = batch.live_attempt(workload.id)
    if attempt is None:
        raise Conflict(f"{workload.id} is {workload.state.value}", code=RefusalCode.WRONG_STATE)
    _require_nobody_inside(batch, workload)
    if attempt.started_at is not None:
        attempt = charge_until(batch, attempt, batch.now)
    holds = batch.holds_of(attempt.id)
    fee = _charge_late_fee(batch, attempt, holds)
    if fee:
        attempt = replace(attempt, charged=attempt.charged + fee)
    _end(batch, workload, attempt, batch.now, WorkloadState.CANCELLED, Reason.CANCELLED, fee)
    return fee


def _require_nobody_inside(batch: Batch, workload: Workload) -> None:
    """What runs inside is paid by the booking: given back, it would leave that running for nothing."""
    live = batch.world.attempts.values()
    inside = sorted(each.workload_id for each in live if each.is_inside and each.booking_id == workload.id)
    if inside:
        raise Conflict(
            f"it pays for what runs inside: {', '.join(inside)}",
            code=RefusalCode.WRONG_STATE,
            expected="a booking inside which nothing runs",
            remedy="cancel that first, and give the booking back when it has ended",
        )


def _charge_late_fee(batch: Batch, attempt: Attempt, holds: Sequence[Hold]) -> int:
    """Of each unit that is held, what cancelling now costs. Returns all of it in standard GPU-milliseconds."""
    if is_given_up(batch.world, attempt, batch.now):
        return 0
    terms = batch.world.require_policy().bookings
    total = 0
    for unit in sorted({each.unit for each in holds}):
        of_unit = [each for each in holds if each.unit == unit]
        left = of_time_ahead(sum(each.remaining for each in of_unit), attempt, batch.pod_runs(attempt.id), batch.now)
        fee = terms.late_fee(left, attempt.launched_at, batch.now)
        if fee:
            posted, amounts = charge_fee(attempt, of_unit, fee, batch.now)
            batch.post(posted)
            batch.charge_holds(amounts)
            total += sum(each.in_standard(amounts.get(each.id, 0), attempt) for each in of_unit)
    return total


def is_given_up(world: World, attempt: Attempt, now: Instant) -> bool:
    """Whether the platform was the first not to keep it: giving it back is free then."""
    is_late = attempt.started_at is None and attempt.launched_at <= now
    return is_at_risk(world, attempt) or (is_late and world.rounds.is_cluster_away)


def of_time_ahead(left: int, attempt: Attempt, runs: Sequence[PodRun], now: Instant) -> int:
    """Of what is held for a booking and not charged, the part that is for time to come: not for time that passed
    before it is charged, nor for what the booking did not have."""
    if attempt.started_at is None:
        ahead_ms = attempt.gpus * max(0, attempt.booked_until - max(attempt.launched_at, now))
    else:
        ahead_ms = gpu_ms_of(runs, attempt.booked_until, since=now)
    uncharged_ms = attempt.gpus * attempt.time_limit_ms - attempt.charged_gpu_ms
    return left * ahead_ms // uncharged_ms if ahead_ms else 0


def _start(batch: Batch, workload: Workload, attempt: Attempt) -> Attempt:
    """As of the cycle that sees its window begin: before that, nothing could start inside."""
    at = min(max(attempt.launched_at, whole_second(batch.now)), attempt.booked_until)
    started = replace(attempt, state=AttemptState.RUNNING, started_at=at)
    batch.put_attempt(started)
    batch.change_workload(workload, state=WorkloadState.RUNNING, state_reason=Reason.RUNNING)
    batch.say(workload.id, Reason.RUNNING, {"nodes": ", ".join(name for name, _ in attempt.placement.pods_by_node)})
    return started


def _follow_nodes(batch: Batch, attempt: Attempt, at: Instant) -> None:
    """Its nodes stand for it as pods do for other work, and the charge is made from them: of GPUs that somebody still used
    as it began, from when they are known to be free; of those that it lost, until then; of all, to its window's end."""
    runs = batch.pod_runs(attempt.id)
    changed = _changed(runs, booked_here(batch.world, as_left_by(batch), attempt, at), at)
    since = dict.fromkeys(changed, at)
    for run in runs:
        if run.node in changed and _is_open(run, at):
            if _is_for_inside(run) and changed[run.node].gpus < run.gpus:
                since[run.node] = _left_at(batch, attempt, run, at)
            batch.put_pod(replace(run, ended_at=since[run.node]))
    has = {name: had for name, had in changed.items() if had.gpus}
    for number, (name, had) in enumerate(has.items(), start=len(runs)):
        run = PodRun(
            PodUid(f"booked:{attempt.id}:{number}"),
            attempt.id,
            f"{attempt.workload_id}-{number}",
            name,
            had.gpus,
            since[name],
            ended_at=attempt.booked_until,
            end_evidence=EndEvidence.FINISHED,
            last_seen_at=since[name] if had.is_for_inside else None,
        )
        batch.put_pod(run)


def _changed(runs: Iterable[PodRun], has: Mapping[NodeName, Had], at: Instant) -> dict[NodeName, Had]:
    """Of what it has by node, that which its runs do not say."""
    said = {
        run.node: Had(run.gpus, _is_for_inside(run)) for run in runs if run.node is not None and _is_open(run, at)
    }
    names = sorted({*has, *said})
    return {name: has.get(name, Had()) for name in names if has.get(name, Had()) != said.get(name, Had())}


def _is_open(run: PodRun, at: Instant) -> bool:
    return run.ended_at is None or run.ended_at > at


def _is_for_inside(run: PodRun) -> bool:
    """Whether it is what a booking has for work inside alone: the node was last seen to have GPUs for it as that began."""
    return run.last_seen_at is not None


def _left_at(batch: Batch, attempt: Attempt, run: PodRun, at: Instant) -> Instant:
    """Until when it had GPUs for work inside alone: until that had ended, however late this was known; but what is charged
    stays."""
    books = batch.books.attempts
    inside = [each.id for each in books.inside([attempt.workload_id])[attempt.workload_id]]
    stored = books.pods_of(inside)
    known = {pod.pod_uid: pod for each in inside for pod in (*stored[each], *batch.pod_runs(each))}
    ends = (pod.ended_at for pod in known.values() if pod.node == run.node)
    charged = charged_up_to(batch.pod_runs(attempt.id), attempt, at)
    assert run.started_at is not None, "it was begun with its start"
    return min(at, max(run.started_at, charged, *(end for end in ends if end is not None)))


def _miss(batch: Batch, workload: Workload, attempt: Attempt, cause: str) -> None:
    """Nothing of it could be had."""
    window = {"from": iso(attempt.launched_at), "until": iso(attempt.booked_until)}
    batch.say(workload.id, Reason.BOOKING_MISSED, {"cause": cause, **window})
    _end(batch, workload, attempt, attempt.booked_until, WorkloadState.CANCELLED, Reason.BOOKING_MISSED)


def _end(
    batch: Batch,
    workload: Workload,
    attempt: Attempt,
    at: Instant,
    state: WorkloadState,
    reason: Reason,
    fee: int = 0,
) -> None:
    has = booked_here(batch.world, as_left_by(batch), attempt, at)
    for run in batch.pod_runs(attempt.id):
        if run.node is not None and _is_open(run, Instant(at - 1)):
            is_left = _is_for_inside(run) and not has.get(run.node, Had()).gpus
            batch.put_pod(replace(run, ended_at=_left_at(batch, attempt, run, at) if is_left else at))
    if state is WorkloadState.COMPLETED:
        attempt = charge_until(batch, attempt, at)
    holds = batch.holds_of(attempt.id)
    batch.post(*release(holds, at))
    batch.resolve_holds(each.id for each in holds if each.resolved_at is None)
    batch.put_attempt(replace(attempt, state=AttemptState.ENDED, ended_at=at, stop_reason=reason))
    batch.change_workload(workload, state=state, state_reason=reason)
    by = f"its owner; {fee / MS_PER_HOUR:.1f} h charged for it" if fee else "its owner"
    if reason in {Reason.COMPLETED, Reason.CANCELLED}:  # of the others it was told why
        batch.say(workload.id, reason, {"by": by} if reason is Reason.CANCELLED else {})
