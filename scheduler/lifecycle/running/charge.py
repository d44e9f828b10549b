"""Charge: what an attempt has used, from what it holds, day by day and price by price."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from scheduler.domain.periods import PeriodLength, period_at
from scheduler.domain.quantities import is_money
from scheduler.domain.records import PodRun
from scheduler.domain.units import BEGINNING, Instant
from scheduler.domain.workloads import Attempt
from scheduler.ledger.charging import charge
from scheduler.ledger.holds import Hold
from scheduler.lifecycle.writing.batch import Batch

DAYS_MAX = 10_000
"""Bound on the days one charge may span: decades."""


def charge_from_holds(batch: Batch, attempt: Attempt, until: Instant) -> Attempt:
    """Charge the attempt for what its pods used before `until`, cut at the ends of days, so that each charge falls into the
    period in which the hours were used, whatever that is; and, where money pays, where its price changes. Returns it
    with its new totals."""
    policy = batch.world.require_policy()
    runs = batch.pod_runs(attempt.id)
    at = charged_until(batch, attempt, until)
    for _ in range(DAYS_MAX):
        # Every period that can be granted by, read or closed begins with a day.
        day = period_at(at, PeriodLength.DAY, policy.time_zone)
        at = min(day.ends_at, _price_changes_at(batch, attempt, at, until))
        if at >= until:
            break
        attempt = _charge_once(batch, attempt, at)
        if gpu_ms_of(runs, until, at) == 0:
            break  # its pods ended before the period did: nothing more can fall into a later one
    return _charge_once(batch, attempt, until)


def charged_until(batch: Batch, attempt: Attempt, otherwise: Instant) -> Instant:
    """No later than the instant up to which it is charged: exact where its pods started together, its size changes, or
    what it used turns out to be more than was known when it was charged."""
    if attempt.started_at is None or attempt.gpus == 0:
        return otherwise
    runs, since = batch.pod_runs(attempt.id), pays_from(batch, attempt)
    if attempt.elastic is None and not attempt.is_booking:
        reckoned = Instant(max(attempt.started_at, since) + attempt.charged_gpu_ms // attempt.gpus)
        if gpu_ms_of(runs, reckoned, since) <= attempt.charged_gpu_ms:
            return reckoned
    return charged_up_to(runs, attempt, otherwise, since)


def charged_up_to(
    runs: Sequence[PodRun], attempt: Attempt, otherwise: Instant, since: Instant = BEGINNING
) -> Instant:
    """When its pods had used, from `since` on, what it is charged; `otherwise` where they have not by then."""
    began = min((run.started_at for run in runs if run.started_at is not None), default=attempt.launched_at)
    span = range(max(began, since), otherwise)
    charged = bisect_left(span, attempt.charged_gpu_ms, key=lambda at: gpu_ms_of(runs, Instant(at), since))
    return Instant(span.start + charged)


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
