"""Settle: charge what an attempt has used, and, when it has ended, close its books."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from scheduler.domain.observations import ObservedJob
from scheduler.domain.periods import PeriodLength, period_at
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import is_money
from scheduler.domain.reasons import Reason
from scheduler.domain.records import PodRun
from scheduler.domain.units import BEGINNING, Instant
from scheduler.domain.workloads import Attempt, AttemptState
from scheduler.ledger.charging import charge
from scheduler.ledger.holding import release
from scheduler.ledger.holds import Hold
from scheduler.ledger.journal import Transaction
from scheduler.ledger.refunds import lost_gpu_ms, refund
from scheduler.lifecycle.running.outcome import settle_workload, why_it_ended
from scheduler.lifecycle.writing.batch import Batch

DAYS_MAX = 10_000
"""Bound on the days one charge may span: decades."""

_REFUNDED = {Reason.PREEMPTED, Reason.NODE_LOST}


def charge_until(batch: Batch, attempt: Attempt, until: Instant) -> Attempt:
    """Charge the attempt for what its pods used before `until`, cut at the ends of days, so that each charge falls into the
    period in which the hours were used, whatever that is; and, where money pays, where its price changes. Returns it
    with its new totals."""
    policy = batch.world.require_policy()
    for _ in range(DAYS_MAX):
        charged = charged_until(batch, attempt, until)
        # Every period that can be granted by, read or closed begins with a day.
        day = period_at(charged, PeriodLength.DAY, policy.time_zone)
        cut = min(day.ends_at, _price_changes_at(batch, attempt, charged, until))
        if cut >= until:
            break
        attempt = _charge_once(batch, attempt, cut)
        if charged_until(batch, attempt, until) < cut:
            break  # its pods ended before the period did: nothing more can fall into a later one
    return _charge_once(batch, attempt, until)


def charged_until(batch: Batch, attempt: Attempt, otherwise: Instant) -> Instant:
    """No later than the instant up to which it is charged: exact where its pods started together, its size changes, or
    what it used turns out to be more than was known when it was charged."""
    if attempt.started_at is None or attempt.gpus == 0:
        return otherwise
    runs, since = batch.pod_runs(attempt.id), pays_from(batch, attempt)
    if attempt.elastic is None:
        reckoned = Instant(max(attempt.started_at, since) + attempt.charged_gpu_ms // attempt.gpus)
        if gpu_ms_of(runs, reckoned, since) <= attempt.charged_gpu_ms:
            return reckoned
    began = max(
        since, min((run.started_at for run in runs if run.started_at is not None), default=attempt.started_at)
    )
    span = range(began, max(began, otherwise))
    charged = bisect_left(span, attempt.charged_gpu_ms, key=lambda at: gpu_ms_of(runs, Instant(at), since))
    return Instant(began + charged)


def pays_from(batch: Batch, attempt: Attempt) -> Instant:
    """From when on its pods' time is its own to pay: inside a booking, from that one's end."""
    if not attempt.is_inside or attempt.booking_id is None:
        return BEGINNING
    live = batch.world.live_attempt(attempt.booking_id)
    booking = live if live is not None else batch.attempts_of(attempt.booking_id)[0]
    return booking.booked_until


def _charge_once(batch: Batch, attempt: Attempt, until: Instant) -> Attempt:
    gpu_ms = gpu_ms_of(batch.pod_runs(attempt.id), until, pays_from(batch, attempt))
    if gpu_ms <= attempt.charged_gpu_ms:
        return attempt
    # Dated at the last millisecond that it covers: a period is half-open.
    at = Instant(until - 1)
    holds = batch.holds_of(attempt.id)
    made = charge(attempt, holds, gpu_ms, at, _price(batch, attempt, at) if _pays_money(holds) else None)
    if made.transactions:
        batch.post(*made.transactions)
        batch.charge_holds(made.from_holds, made.draws)
    charged = replace(attempt, charged_gpu_ms=made.gpu_ms, charged=made.total)
    batch.put_attempt(charged)
    return charged


def _pays_money(holds: Sequence[Hold]) -> bool:
    return any(hold.draw is not None and is_money(hold.draw.unit) for hold in holds)


def _price(batch: Batch, attempt: Attempt, at: Instant) -> int | None:
    """In micro-units a GPU-hour, as it is in force then; None where the book has none."""
    book = batch.world.price_book
    priced = (
        batch.world.ahead.rating(book).price_at(attempt.gpu_class, attempt.pool, at) if book is not None else None
    )
    return None if priced is None else priced.unit.effective


def _price_changes_at(batch: Batch, attempt: Attempt, since: Instant, until: Instant) -> Instant:
    """The first instant after `since` at which what money pays has another price; `until` where there is none."""
    book = batch.world.price_book
    if book is None or until - since <= 1 or not _pays_money(batch.holds_of(attempt.id)):
        return until
    return batch.world.ahead.rating(book).same_until(attempt.gpu_class, attempt.pool, since, until)


def gpu_ms_of(runs: Sequence[PodRun], until: Instant, since: Instant = BEGINNING) -> int:
    """Physical GPU-milliseconds of these pods from `since` up to then."""
    return sum(run.gpu_ms_until(until, since) for run in runs)


def end_attempt(batch: Batch, attempt: Attempt, job: ObservedJob | None) -> None:
    """The pods have all ended: the last charge, the release of what is still held, a refund where one is due."""
    runs = batch.pod_runs(attempt.id)
    ends = [run.ended_at for run in runs if run.ended_at is not None]
    ended_at = max(ends, default=batch.now)
    attempt = charge_until(batch, attempt, ended_at)
    holds = batch.holds_of(attempt.id)
    batch.post(*release(holds, batch.now))
    batch.resolve_holds(hold.id for hold in holds if hold.resolved_at is None)
    workload = batch.workload(attempt.workload_id)
    assert workload is not None, "a live attempt has a workload"
    ended = why_it_ended(attempt, workload, job, runs)
    _refund(batch, attempt, holds, ended.reason, ended_at)
    batch.put_attempt(replace(attempt, state=AttemptState.ENDED, ended_at=ended_at, stop_reason=ended.reason))
    settle_workload(batch, workload, ended, job)


def _refund(batch: Batch, attempt: Attempt, holds: Sequence[Hold], reason: Reason, ended_at: Instant) -> None:
    if reason not in _REFUNDED:
        return
    reserved = batch.world.reservations.get(attempt.workload_id)
    why = f"{reason.value}, moved by consolidation" if reserved is not None and reserved.is_move else reason.value
    batch.post(*refund_of_lost_work(batch, attempt, holds, ended_at, dated=batch.now, why=why))


def refund_of_lost_work(
    batch: Batch, attempt: Attempt, holds: Sequence[Hold], ended_at: Instant, *, dated: Instant, why: str
) -> list[Transaction]:
    """What gives back the work that an attempt lost which ended then and is charged, up to the cap of its class; none where
    there is nothing to give back. `holds` as they are charged; `why` stands on the statement."""
    if not attempt.is_funded:
        return []
    lost = lost_gpu_ms(attempt, _refund_cap_ms(batch.world.require_policy(), attempt), ended_at)
    return refund(attempt, holds, lost, dated, memo=f"work lost: {why}") if lost else []


def _refund_cap_ms(policy: Policy, attempt: Attempt) -> int:
    priority_class = policy.priority_classes.get(attempt.priority_class)
    return priority_class.refund_cap_ms if priority_class is not None else 0
