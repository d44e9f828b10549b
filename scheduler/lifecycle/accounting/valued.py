"""A period's postings of use, each with its attempt and what it is worth: what exports, months and sums are made of."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from scheduler.domain.periods import Period
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.postings import (
    CHARGED_SIDE,
    WORTH,
    Posting,
    Worth,
    charged_accounts,
    charged_posting,
    worth_of,
)
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
        """Whose cost centre it is: that of its day; nobody's where no work stands behind it."""
        if self.attempt is not None:
            return self.attempt.team
        return (self.hold.team if self.hold is not None else None) or ""


def pieces_of(books: Books, period: Period, payers: Collection[str] | None = None) -> Iterator[list[Posting]]:
    """In the order of the journal, some at a time; of these payers, or of everybody."""
    piece: list[Posting] = []
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
            piece.append(posting)
        if len(piece) == POSTINGS_AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece


def valued(books: Books, rating: Rating, period: Period, payers: Collection[str] | None = None) -> Iterator[Valued]:
    """Of these payers, or of everybody. Raises NotFound (`price-missing`)."""
    for piece in pieces_of(books, period, payers):
        holds = holds_behind(books, piece)
        for posting, attempt in with_attempts(books, piece):
            yield Valued(posting, attempt, worth_of(rating, posting, attempt), holds.get(posting.hold_id))


def with_attempts(books: Books, piece: Sequence[Posting]) -> Iterator[tuple[Posting, Attempt | None]]:
    """Each with the attempt that stands behind it."""
    attempts = books.attempts.many(sorted({each.attempt_id for each in piece if each.attempt_id is not None}))
    for posting in piece:
        yield posting, attempts.get(posting.attempt_id) if posting.attempt_id is not None else None


def holds_behind(books: Books, piece: Sequence[Posting]) -> Mapping[str, TokenHold]:
    """The holds that tokens of the piece were charged to."""
    ids = sorted({posting.hold_id for posting in piece if posting.model is not None})
    return books.token_holds.many(ids) if ids else {}
