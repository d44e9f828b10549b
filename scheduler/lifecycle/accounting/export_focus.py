"""Export: a period's postings as rows of FOCUS, some thousand at a time, in one consistent read."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scheduler.domain.periods import Period
from scheduler.domain.sizes import last_use
from scheduler.domain.terms import KeptTerms
from scheduler.domain.units import MS_PER_HOUR, STANDARD_GPU, AllowanceId, AttemptId, Instant
from scheduler.domain.workloads import Attempt
from scheduler.finance.focus.rows import FocusRows, Used
from scheduler.finance.prices.postings import WORTH, Posting
from scheduler.finance.prices.price_book import PriceBook, Unpriced, first_unpriced, unpriced
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.token_holds import drawn_by
from scheduler.lifecycle.accounting.valued import holds_behind, pieces_of
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
    rating = Rating(book)
    found = (
        _hour_without_any(book, period, now),
        *_terms_unpriced(books, rating, period),
        *_tokens_unpriced(books, rating, period),
    )
    missing = first_unpriced(found)
    if missing is not None:
        raise missing


def _hour_without_any(book: PriceBook, period: Period, now: Instant) -> Unpriced | None:
    for at in range(period.starts_at, min(period.ends_at, now), MS_PER_HOUR):
        if not any(rate.starts_at <= at and (rate.ends_at is None or at < rate.ends_at) for rate in book.rates):
            return Unpriced("the price book has no price at all", Instant(at))
    return None


def _terms_unpriced(books: Books, rating: Rating, period: Period) -> Iterator[Unpriced]:
    """Of each class and pool that was used, the first hour."""
    for terms in books.journal.terms_used(starts_at=period.starts_at, ends_at=period.ends_at):
        first = max(period.starts_at, terms.first_at)
        for at in range(first - first % MS_PER_HOUR, terms.last_at + 1, MS_PER_HOUR):
            if rating.price_at(terms.gpu_class, terms.pool, Instant(at)) is None:
                yield unpriced(terms.gpu_class, terms.pool, Instant(at))
                break


def _tokens_unpriced(books: Books, rating: Rating, period: Period) -> Iterator[Unpriced]:
    """Of the charges of tokens. Before the first rate of tokens begins they cost nothing."""
    for at, memo in books.journal.tokens_charged(starts_at=period.starts_at, ends_at=period.ends_at):
        try:
            rating.tokens_at(drawn_by(memo)[0], at)
        except Unpriced as missing:
            yield missing


def focus_rows(books: Books, book: PriceBook, period: Period, time_zone: str) -> Iterator[tuple[str, ...]]:
    """Every row of the period, in the order of the journal; the adjustments for rounding come last."""
    made = FocusRows(Rating(book), time_zone)
    kept: dict[str, KeptTerms | None] = {}
    for piece in pieces_of(books, period):
        _read_kept(books, piece, kept)
        for used in _with_what_stands_behind(books, piece, kept):
            yield from made.rows(used)
    yield from made.adjustments()


def _read_kept(books: Books, piece: Sequence[Posting], kept: dict[str, KeptTerms | None]) -> None:
    """Add what terms the payers of a piece have kept, each read once."""
    new = {posting.payer for posting in piece} - kept.keys()
    kept.update(dict.fromkeys(new))
    for balance in books.allowances.balances(ids=[AllowanceId(payer) for payer in sorted(new)]):
        if balance.allowance.unit == STANDARD_GPU:
            kept[balance.allowance.id] = balance.allowance.kept_terms


def _with_what_stands_behind(
    books: Books, piece: Sequence[Posting], kept: Mapping[str, KeptTerms | None]
) -> Iterator[Used]:
    ids = sorted({posting.attempt_id for posting in piece if posting.attempt_id is not None})
    attempts = books.attempts.many(ids)
    workloads = books.workloads.many(sorted({attempt.workload_id for attempt in attempts.values()}))
    hours = _hours(books, ids, piece, attempts)
    holds = holds_behind(books, piece)
    for posting in piece:
        attempt = attempts.get(posting.attempt_id) if posting.attempt_id is not None else None
        workload = workloads.get(attempt.workload_id) if attempt is not None else None
        read = hours.get(attempt.id, ()) if attempt is not None else ()
        yield Used(posting, attempt, workload, read, holds.get(posting.hold_id), kept[posting.payer])


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
