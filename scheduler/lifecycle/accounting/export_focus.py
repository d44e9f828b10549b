"""Export: a period's postings as rows of FOCUS, some thousand at a time, in one consistent read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.periods import Period, iso
from scheduler.domain.sizes import last_use
from scheduler.domain.units import MS_PER_HOUR, AttemptId, Instant
from scheduler.domain.workloads import Attempt
from scheduler.finance.focus.rows import FocusRows, Used
from scheduler.finance.prices.postings import WORTH, Posting
from scheduler.finance.prices.price_book import PriceBook, unpriced
from scheduler.finance.prices.rating import Rating
from scheduler.lifecycle.accounting.valued import pieces_of
from scheduler.metering.use import HourOfUse
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class FocusExport:
    """What is to be written. `postings` says how much work it will be; `rows` can be taken once, while the read that
    it was made in is open."""

    period: Period
    currency: str
    price_book: str
    postings: int
    rows: Iterator[tuple[str, ...]]


def focus_export(books: Books, book: PriceBook, period: Period, time_zone: str, now: Instant) -> FocusExport:
    """Raises NotFound (`price-missing`) before there is a row."""
    require_priced(books, book, period, now)
    return FocusExport(
        period=period,
        currency=book.currency,
        price_book=book.hash,
        postings=books.journal.count(transactions=WORTH, starts_at=period.starts_at, ends_at=period.ends_at),
        rows=focus_rows(books, book, period, time_zone),
    )


def require_priced(books: Books, book: PriceBook, period: Period, now: Instant) -> None:
    """Raises NotFound (`price-missing`), naming the first hour of the period that has no price: before a single row
    is written. Hours that are still to come need none."""
    for at in range(period.starts_at, min(period.ends_at, now), MS_PER_HOUR):
        if not any(rate.starts_at <= at and (rate.ends_at is None or at < rate.ends_at) for rate in book.rates):
            raise NotFound(
                f"the price book has no price at all in the hour from {iso(Instant(at))}",
                code=RefusalCode.PRICE_MISSING,
                expected="a price book that covers every hour of the period",
                remedy="add the prices with `allot prices apply FILE`; nothing was written",
            )
    rating = Rating(book)
    for terms in books.journal.terms_used(starts_at=period.starts_at, ends_at=period.ends_at):
        first = max(period.starts_at, terms.first_at)
        for at in range(first - first % MS_PER_HOUR, terms.last_at + 1, MS_PER_HOUR):
            if rating.price_at(terms.gpu_class, terms.pool, Instant(at)) is None:
                raise unpriced(terms.gpu_class, terms.pool, Instant(at))


def focus_rows(books: Books, book: PriceBook, period: Period, time_zone: str) -> Iterator[tuple[str, ...]]:
    """Every row of the period, in the order of the journal; the adjustments for rounding come last."""
    made = FocusRows(Rating(book), time_zone)
    for piece in pieces_of(books, period):
        for used in _with_what_stands_behind(books, piece):
            yield from made.rows(used)
    yield from made.adjustments()


def _with_what_stands_behind(books: Books, piece: Sequence[Posting]) -> Iterator[Used]:
    ids = sorted({posting.attempt_id for posting in piece if posting.attempt_id is not None})
    attempts = books.attempts.many(ids)
    workloads = books.workloads.many(sorted({attempt.workload_id for attempt in attempts.values()}))
    hours = _hours(books, ids, piece, attempts)
    for posting in piece:
        attempt = attempts.get(posting.attempt_id) if posting.attempt_id is not None else None
        workload = workloads.get(attempt.workload_id) if attempt is not None else None
        read = hours.get(attempt.id, ()) if attempt is not None else ()
        yield Used(posting, attempt, workload, read)


def _hours(
    books: Books, ids: Sequence[AttemptId], piece: Sequence[Posting], attempts: Mapping[AttemptId, Attempt]
) -> dict[AttemptId, list[HourOfUse]]:
    """Readings of the time that the piece is of, by attempt: those of a long attempt come with each of its pieces."""
    starts = [
        last_use(attempts[posting.attempt_id], abs(posting.gpu_ms), Instant(posting.at + 1))[0].start
        for posting in piece
        if posting.attempt_id is not None and posting.attempt_id in attempts
    ]
    if not starts:
        return {}
    first = min(starts) - MS_PER_HOUR
    last = max(posting.at for posting in piece) + 1
    by_attempt: dict[AttemptId, list[HourOfUse]] = defaultdict(list)
    for hour in books.samples.hours(attempts=ids, starts_at=Instant(first), ends_at=Instant(last)):
        if hour.attempt_id is not None:
            by_attempt[hour.attempt_id].append(hour)
    return by_attempt
