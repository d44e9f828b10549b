"""Valuation: what the lines of a statement are worth, gathered while the statement reads its entries."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from scheduler.domain.errors import NotFound
from scheduler.domain.money import Micro
from scheduler.domain.units import AttemptId, Instant, Unit
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.postings import Posting, Worth, paid_posting, worth_of
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.journal import AccountKind, PostedEntry, TransactionKind

LineKey = tuple[TransactionKind, str, Unit]
"""What a statement has one line for: an attempt's charges, its refund, or one other transaction, in one unit."""

FindAttempt = Callable[[AttemptId], Attempt | None]


@dataclass(slots=True)
class LineWorth:
    """What a line is worth, and how much physical time of it at which price: (micro-units a GPU-hour, off-peak)."""

    micro: int = 0
    gpu_ms_at: dict[tuple[Micro, bool], int] = field(default_factory=dict)

    def add(self, worth: Worth, *, is_unfunded: bool) -> None:
        self.micro += worth.micro
        for part in worth.parts:
            price = Micro(0) if is_unfunded else part.priced.unit.effective
            key = (price, part.priced.is_off_peak)
            self.gpu_ms_at[key] = self.gpu_ms_at.get(key, 0) + part.gpu_ms


@dataclass(slots=True)
class Valuation:
    """The worth of a period's postings. Without a price book, or where it lacks an hour, nothing is worth anything
    known: `missing` says why, and every sum is None."""

    rating: Rating | None
    attempt: FindAttempt
    lines: dict[LineKey, LineWorth] = field(default_factory=dict)
    missing: NotFound | None = None
    _sums: dict[TransactionKind, int] = field(default_factory=dict)

    def watching(self, entries: Iterable[PostedEntry]) -> Iterator[PostedEntry]:
        """The entries that a statement reads, of whatever unit, each valued as it goes by."""
        for entry in entries:
            posting = paid_posting(entry)
            if posting is not None:
                self._add(posting)
            if entry.account.kind is not AccountKind.CORRECTED:
                yield entry

    def _add(self, posting: Posting) -> None:
        if self.rating is None or self.missing is not None:
            return
        attempt = self.attempt(posting.attempt_id) if posting.attempt_id is not None else None
        try:
            worth = worth_of(self.rating, posting, attempt)
        except NotFound as missing:
            self.missing = missing
            return
        key = (posting.kind, posting.attempt_id or posting.transaction_id, posting.unit)
        self.lines.setdefault(key, LineWorth()).add(worth, is_unfunded=posting.is_unfunded)
        self._sums[posting.kind] = self._sums.get(posting.kind, 0) + worth.micro

    @property
    def is_known(self) -> bool:
        return self.rating is not None and self.missing is None

    @property
    def charged_micro(self) -> Micro | None:
        return self._sum(TransactionKind.CHARGE)

    @property
    def refunded_micro(self) -> Micro | None:
        """What was given back, above zero."""
        known = self._sum(TransactionKind.REFUND)
        return None if known is None else Micro(-known)

    @property
    def corrected_micro(self) -> Micro | None:
        return self._sum(TransactionKind.CORRECTION)

    @property
    def cost_micro(self) -> Micro | None:
        """What the period costs: charged, less what was given back, and what was corrected."""
        return Micro(sum(self._sums.values())) if self.is_known else None

    def _sum(self, kind: TransactionKind) -> Micro | None:
        return Micro(self._sums.get(kind, 0)) if self.is_known else None


def electricity_micro(rating: Rating, hours: Iterable[tuple[Instant, int]]) -> Micro | None:
    """What measured energy cost, from (hour, millijoules): exact products, floored once. None where an hour has no
    tariff."""
    exact = 0
    for hour, millijoules in hours:
        per_kwh = rating.book.micro_per_kwh(hour)
        if per_kwh is None:
            return None
        exact += millijoules * per_kwh
    return Micro(exact // MILLIJOULES_PER_KWH)


MILLIJOULES_PER_KWH = 3_600_000_000
