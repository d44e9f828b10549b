"""A period's postings of use, each with its attempt and what it is worth: what exports, months and sums are made of."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from scheduler.domain.periods import Period
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.postings import (
    CHARGED_SIDE,
    WORTH,
    Posting,
    Worth,
    charged_accounts,
    charged_posting,
    paid_posting,
    worth_of,
)
from scheduler.finance.prices.price_book import Unpriced, first_unpriced
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.token_holds import TokenHold
from scheduler.ports import Books

POSTINGS_AT_ONCE = 1_000
"""So many postings, with what stands behind them, are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Valued:
    """`attempt` is None where no attempt stands behind the posting: a correction of money, say. `hold` is that which tokens
    were charged to."""

    posting: Posting
    attempt: Attempt | None
    worth: Worth
    hold: TokenHold | None = None

    @property
    def team(self) -> str:
        """The cost centre that the work's owner belonged to then; empty where no work stands behind it."""
        if self.attempt is not None:
            return self.attempt.team
        return (self.hold.team if self.hold is not None else None) or ""


def pieces_of(books: Books, period: Period, payers: Collection[str] | None = None) -> Iterator[list[Posting]]:
    """In the order of the journal, some at a time; of these payers, or of everybody."""
    return _some_at_a_time(_postings_of(books, period, payers))


def _postings_of(books: Books, period: Period, payers: Collection[str] | None) -> Iterator[Posting]:
    entries = books.journal.entries(
        accounts=None if payers is None else charged_accounts(payers),
        kinds=CHARGED_SIDE,
        transactions=WORTH,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
    )
    for entry in entries:
        posting = charged_posting(entry)
        if posting is not None and (payers is None or posting.payer in payers):
            yield posting


def valued(books: Books, rating: Rating, period: Period, payers: Collection[str] | None = None) -> Iterator[Valued]:
    """Of these payers, or of everybody, in the order of the journal. Raises NotFound (`price-missing`)."""
    return _valued(books, rating, _postings_of(books, period, payers))


def valued_beside(books: Books, rating: Rating, period: Period, left: Sequence[int]) -> Iterator[Valued]:
    """Everybody's, but for what of `JournalBook.used` is not `left`. Raises NotFound (`price-missing`)."""
    entries = books.journal.worth_beside(starts_at=period.starts_at, ends_at=period.ends_at, left=left)
    return _valued(books, rating, (posting for entry in entries if (posting := paid_posting(entry)) is not None))


def _valued(books: Books, rating: Rating, postings: Iterable[Posting]) -> Iterator[Valued]:
    """Where prices are missing, the earliest is told, after all that has one."""
    unpriced: Unpriced | None = None
    for piece in _some_at_a_time(postings):
        holds = holds_behind(books, piece)
        for posting, attempt in with_attempts(books, piece):
            try:
                worth = worth_of(rating, posting, attempt)
            except Unpriced as missing:
                unpriced = first_unpriced((unpriced, missing))
                continue
            yield Valued(posting, attempt, worth, holds.get(posting.hold_id))
    if unpriced is not None:
        raise unpriced


def _some_at_a_time(postings: Iterable[Posting]) -> Iterator[list[Posting]]:
    rest = iter(postings)
    while piece := list(islice(rest, POSTINGS_AT_ONCE)):
        yield piece


def with_attempts(books: Books, piece: Sequence[Posting]) -> Iterator[tuple[Posting, Attempt | None]]:
    """Each with the attempt that stands behind it."""
    attempts = books.attempts.many(sorted({each.attempt_id for each in piece if each.attempt_id is not None}))
    for posting in piece:
        yield posting, attempts.get(posting.attempt_id) if posting.attempt_id is not None else None


def holds_behind(books: Books, piece: Sequence[Posting]) -> Mapping[str, TokenHold]:
    """The holds that tokens of the piece were charged to."""
    ids = sorted({posting.hold_id for posting in piece if posting.model is not None})
    return books.token_holds.many(ids) if ids else {}
