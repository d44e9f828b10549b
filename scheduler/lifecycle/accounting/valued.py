"""A period's postings of use, each with its attempt and what it is worth: what exports, months and sums are made of."""

from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.domain.periods import Period
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.postings import CHARGED_SIDE, WORTH, Posting, Worth, charged_posting, worth_of
from scheduler.finance.prices.rating import Rating
from scheduler.ports import Books

POSTINGS_AT_ONCE = 1_000
"""So many postings, with what stands behind them, are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Valued:
    """`attempt` is None where no attempt stands behind the posting: a correction of money, say."""

    posting: Posting
    attempt: Attempt | None
    worth: Worth


def pieces_of(books: Books, period: Period) -> Iterator[list[Posting]]:
    """In the order of the journal, some at a time."""
    piece: list[Posting] = []
    entries = books.journal.entries(
        kinds=CHARGED_SIDE, transactions=WORTH, starts_at=period.starts_at, ends_at=period.ends_at
    )
    for entry in entries:
        posting = charged_posting(entry)
        if posting is not None:
            piece.append(posting)
        if len(piece) == POSTINGS_AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece


def valued(books: Books, rating: Rating, period: Period) -> Iterator[Valued]:
    """Raises NotFound (`price-missing`)."""
    for piece in pieces_of(books, period):
        ids = sorted({posting.attempt_id for posting in piece if posting.attempt_id is not None})
        attempts = books.attempts.many(ids)
        for posting in piece:
            attempt = attempts.get(posting.attempt_id) if posting.attempt_id is not None else None
            yield Valued(posting, attempt, worth_of(rating, posting, attempt))
