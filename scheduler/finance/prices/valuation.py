"""Valuation: what the lines of a statement are worth, gathered from the entries that they are made of."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from scheduler.domain.money import Micro
from scheduler.domain.units import AttemptId, Instant, Unit
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.postings import (
    Posting,
    Worth,
    paid_posting,
    plain_micro,
    plain_price,
    plainly_priced,
    worth_of,
)
from scheduler.finance.prices.price_book import Unpriced, first_unpriced
from scheduler.finance.prices.rating import Priced, Rating
from scheduler.ledger.journal import AccountKind, PostedEntry, TransactionKind, Used

LineKey = tuple[TransactionKind, str, Unit]
"""What a statement has one line for: an attempt's charges, its refund, or one other transaction, in one unit."""

FindAttempt = Callable[[AttemptId], Attempt | None]


@dataclass(slots=True)
class LineWorth:
    """What a line is worth, and how much physical time of it at which price: (micro-units a GPU-hour, off-peak). Tokens
    have one price a line: micro-units a million."""

    micro: int = 0
    per_million: Micro | None = None
    gpu_ms_at: dict[tuple[Micro, bool], int] = field(default_factory=dict)

    def add(self, worth: Worth, *, is_unfunded: bool) -> None:
        self.micro += worth.micro
        if worth.tokens is not None:
            self.per_million = worth.tokens.price.effective
        for part in worth.parts:
            self.add_at(part.priced, part.gpu_ms, 0, is_unfunded=is_unfunded)

    def add_at(self, priced: Priced, gpu_ms: int, micro: int, *, is_unfunded: bool) -> None:
        price = Micro(0) if is_unfunded else priced.unit.effective
        key = (price, priced.is_off_peak)
        self.gpu_ms_at[key] = self.gpu_ms_at.get(key, 0) + gpu_ms
        self.micro += micro


@dataclass(slots=True)
class Valuation:
    """The worth of a period's postings. Without a price book, or where it lacks an hour, nothing is worth anything
    known: `missing` names the first hour, and every sum is None."""

    rating: Rating | None
    attempt: FindAttempt
    lines: dict[LineKey, LineWorth] = field(default_factory=dict)
    missing: Unpriced | None = None
    left: list[Posting] = field(default_factory=list)
    late_ms: dict[LineKey, int] = field(default_factory=dict)
    """The lines of which something belongs to a closed period and counts in this one: how much, in physical
    GPU-milliseconds; 0 where no GPU stands behind it."""
    _sums: dict[TransactionKind, int] = field(default_factory=dict)

    def along(self, entries: Iterable[PostedEntry]) -> Iterator[PostedEntry]:
        """The entries of a statement, valued as they go by. What it takes an attempt itself for, since its price or its
        size changed within, and what is no charge of one, is `left` to `value`."""
        for entry in entries:
            if entry.corrects_at is not None:
                key = (entry.kind, entry.attempt_id or entry.transaction_id, entry.unit)
                self.late_ms[key] = self.late_ms.get(key, 0) + abs(entry.gpu_ms)
            if self.rating is not None:
                priced = plain_price(self.rating, entry)
                if priced is not None:
                    self._add_plain(entry, priced)
                elif (posting := paid_posting(entry)) is not None:
                    self.left.append(posting)
            yield entry

    def of_company(self, used: Iterable[Used], lines: Collection[AttemptId]) -> list[int]:
        """What attempts of a company were charged is worth; prices are kept of those that have `lines`. Returns the
        numbers of the entries that are left to go `along`."""
        assert self.rating is not None, "without prices nothing is worth anything"
        left: list[int] = []
        total = 0
        for each, priced, micro in plainly_priced(self.rating, used, left):
            total += micro
            if each.attempt_id in lines:
                line = self._line((TransactionKind.CHARGE, each.attempt_id, each.unit))
                line.add_at(priced, -each.gpu_ms, micro, is_unfunded=each.is_unfunded)
        self._sums[TransactionKind.CHARGE] = self._sums.get(TransactionKind.CHARGE, 0) + total
        return left

    def _add_plain(self, entry: PostedEntry, priced: Priced) -> None:
        assert entry.attempt_id is not None, "its price was told by its attempt"
        micro = plain_micro(entry, priced)
        self._sums[entry.kind] = self._sums.get(entry.kind, 0) + micro
        line = self._line((entry.kind, entry.attempt_id, entry.unit))
        line.add_at(priced, -entry.gpu_ms, micro, is_unfunded=entry.account.kind is AccountKind.UNFUNDED)

    def _line(self, key: LineKey) -> LineWorth:
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = LineWorth()
        return line

    def value(self, postings: Iterable[Posting]) -> None:
        for posting in postings:
            self._add(posting)

    def _add(self, posting: Posting) -> None:
        if self.rating is None:
            return
        attempt = self.attempt(posting.attempt_id) if posting.attempt_id is not None else None
        try:
            worth = worth_of(self.rating, posting, attempt)
        except Unpriced as missing:
            self.missing = first_unpriced((self.missing, missing))
            return
        key = (posting.kind, posting.attempt_id or posting.transaction_id, posting.unit)
        self._line(key).add(worth, is_unfunded=posting.is_unfunded)
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


@dataclass(frozen=True, slots=True)
class Electricity:
    """What measured energy cost where there is a tariff, in exact products floored once; the energy in hours that have
    none, and the first of these."""

    micro: Micro
    unpriced_millijoules: int = 0
    unpriced_from: Instant | None = None

    @property
    def known_micro(self) -> Micro | None:
        """None where any hour has no tariff."""
        return self.micro if self.unpriced_from is None else None


def electricity_of(rating: Rating, hours: Iterable[tuple[Instant, int]]) -> Electricity:
    """From (hour, millijoules)."""
    exact, unpriced = 0, 0
    first: Instant | None = None
    for hour, millijoules in hours:
        per_kwh = rating.book.micro_per_kwh(hour)
        if per_kwh is not None:
            exact += millijoules * per_kwh
        elif millijoules:
            unpriced += millijoules
            first = hour if first is None else min(first, hour)
    return Electricity(Micro(exact // MILLIJOULES_PER_KWH), unpriced, first)


MILLIJOULES_PER_KWH = 3_600_000_000
