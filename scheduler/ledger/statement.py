"""Statement: what an owner had, what came and went, and what is left, from the journal's entries alone.

    opening + granted + vested − charged + refunded − expired + transferred + corrected = available + held

`opening` counts held hours as had. What is promised and has not vested stands beside it:

    promised before + promised now − vested − clawed back = promised

A statement is of one unit. Overrun and unfunded hours stand beside it: no allowance paid them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from scheduler.domain.units import STANDARD_GPU, AllowanceId, AttemptId, EngineerId, Instant, Unit
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, TransactionKind

_HAD = frozenset({AccountKind.ALLOWANCE, AccountKind.HELD})
HAD = (*sorted(_HAD), AccountKind.PROMISED)
"""The kinds of account that belong to an allowance: what its holder has, or is promised."""
INTERNAL = (TransactionKind.HOLD, TransactionKind.RELEASE)
"""They move hours between available and held: nothing comes or goes."""

STATED = (*HAD, AccountKind.OVERRUN, AccountKind.UNFUNDED)
"""The kinds of account that a statement reads."""


class StatementLine(NamedTuple):
    """One attempt's charges, its refund, or one other transaction, in one unit.

    `amount` is what it did to what the owner had, `promised` to what is promised; `overrun` and `unfunded` what of it
    nobody paid (a refund takes from the overrun), `gpu_ms` the physical time; `at` the last instant that it counts at.
    """

    kind: TransactionKind
    at: Instant
    attempt_id: AttemptId | None
    amount: int = 0
    gpu_ms: int = 0
    overrun: int = 0
    unfunded: int = 0
    promised: int = 0
    memo: str = ""
    """Of its first transaction, as the id."""
    transaction_id: str = ""
    unit: Unit = STANDARD_GPU

    @property
    def key(self) -> str:
        """What tells it from the others of its kind and unit."""
        return self.attempt_id or self.transaction_id

    def without(self, line: "StatementLine") -> "StatementLine":
        """The sum of several lines less this one of them."""
        return self._replace(
            amount=self.amount - line.amount,
            gpu_ms=self.gpu_ms - line.gpu_ms,
            overrun=self.overrun - line.overrun,
            unfunded=self.unfunded - line.unfunded,
            promised=self.promised - line.promised,
        )


class CompanyLines(NamedTuple):
    """The first lines of a company's period in standard time and all of them in other units, in the order of their
    instants. `rest` is what the others come to, a line for each kind, and `left_out` how many they are."""

    lines: list[StatementLine]
    rest: list[StatementLine]
    left_out: int


class Released(NamedTuple):
    """What came back of an attempt's holds to who paid them, in one unit, and when the last of it did."""

    attempt_id: AttemptId
    unit: Unit
    at: Instant
    amount: int


@dataclass(frozen=True, slots=True)
class Statement:
    """The sums of a period, in the unit's smallest part, all but `transferred` and `corrected` never negative."""

    opening: int
    available: int
    held: int
    lines: tuple[StatementLine, ...]
    promised: int = 0
    """What is promised at the end, and has not vested."""

    @property
    def granted(self) -> int:
        return self._sum(TransactionKind.GRANT)

    @property
    def vested(self) -> int:
        return self._sum(TransactionKind.VEST)

    @property
    def clawed_back(self) -> int:
        return -sum(line.promised for line in self.lines if line.kind is TransactionKind.CLAWBACK)

    @property
    def charged(self) -> int:
        """What the allowances paid."""
        return -self._sum(TransactionKind.CHARGE)

    @property
    def refunded(self) -> int:
        return self._sum(TransactionKind.REFUND)

    @property
    def expired(self) -> int:
        return -self._sum(TransactionKind.EXPIRY)

    @property
    def transferred(self) -> int:
        """What came less what went. A rollover stays with its holder: it comes and goes."""
        return self._sum(TransactionKind.TRANSFER) + self._sum(TransactionKind.ROLLOVER)

    @property
    def corrected(self) -> int:
        return self._sum(TransactionKind.CORRECTION)

    @property
    def overrun(self) -> int:
        """What the owner came to owe in the period, less what of it was given back."""
        return sum(line.overrun for line in self.lines)

    @property
    def unfunded(self) -> int:
        return sum(line.unfunded for line in self.lines)

    def _sum(self, kind: TransactionKind) -> int:
        return sum(line.amount for line in self.lines if line.kind is kind)


def accounts_of(allowances: Iterable[AllowanceId], engineers: Iterable[EngineerId] = ()) -> tuple[Account, ...]:
    """The accounts that a statement over these allowances, and what these engineers used beyond them, reads."""
    had = [Account(kind, allowance) for allowance in allowances for kind in sorted(HAD)]
    beyond = [Account(kind, e) for e in engineers for kind in (AccountKind.OVERRUN, AccountKind.UNFUNDED)]
    return (*had, *beyond)


def statement(
    opening: Mapping[Account, int], closing: Mapping[Account, int], lines: Sequence[StatementLine]
) -> Statement:
    """The statement from the balances at the period's start and end, and what moved between, on `accounts_of` it."""
    had, left = _by_kind(opening), _by_kind(closing)
    return Statement(
        opening=had[AccountKind.ALLOWANCE] + had[AccountKind.HELD],
        available=left[AccountKind.ALLOWANCE],
        held=left[AccountKind.HELD],
        lines=tuple(lines),
        promised=left[AccountKind.PROMISED],
    )


def lines_of(entries: Iterable[PostedEntry]) -> tuple[list[StatementLine], list[Released]]:
    """The lines that these entries are, in the order of their last instants and then of their first entries; and what came
    back by releases, in order of attempts and units. Corrections of money are no line: they stand in another equation."""
    lines: dict[tuple[TransactionKind, Unit, str], _Line] = {}
    back: dict[tuple[AttemptId, Unit], Released] = {}
    for entry in entries:
        if entry.kind is TransactionKind.RELEASE:
            _come_back(back, entry)
        elif entry.account.kind is not AccountKind.CORRECTED:
            key = (entry.kind, entry.unit, entry.attempt_id or entry.transaction_id)
            line = lines.get(key)
            if line is None:
                line = lines[key] = _Line(entry)
            line.add(entry)
    in_order = sorted(lines.values(), key=_FIRST)
    in_order.sort(key=_AT)
    return [line.finished() for line in in_order], [back[key] for key in sorted(back)]


def in_time(returned: Iterable[Released]) -> list[Released]:
    """In the order in which it came back, as people read it; of one instant, of attempts and units."""
    return sorted(returned, key=lambda each: (each.at, each.attempt_id, each.unit))


def _come_back(back: dict[tuple[AttemptId, Unit], Released], entry: PostedEntry) -> None:
    assert entry.attempt_id is not None, "asked for by the reasons of attempts"
    known = back.get((entry.attempt_id, entry.unit), Released(entry.attempt_id, entry.unit, entry.at, 0))
    latest = max(known.at, entry.at)
    back[known.attempt_id, known.unit] = known._replace(at=latest, amount=known.amount + entry.amount)


class _Line:
    """A line while its entries come by."""

    __slots__ = ("amount", "at", "first", "gpu_ms", "overrun", "promised", "seq", "unfunded")

    def __init__(self, first: PostedEntry) -> None:
        self.first = first
        self.seq = first.seq
        self.at = first.at
        self.amount = self.gpu_ms = self.overrun = self.unfunded = self.promised = 0

    def add(self, entry: PostedEntry) -> None:
        self.at = max(self.at, entry.at)
        if entry.seq < self.seq:
            self.first, self.seq = entry, entry.seq
        kind = entry.account.kind
        if kind in _HAD:
            self.amount += entry.amount
        elif kind is AccountKind.OVERRUN:
            self.overrun -= entry.amount
        elif kind is AccountKind.UNFUNDED:
            self.unfunded -= entry.amount
        elif kind is AccountKind.PROMISED:
            self.promised += entry.amount
        self.gpu_ms += abs(entry.gpu_ms)

    def finished(self) -> StatementLine:
        first = self.first
        return StatementLine(
            *(first.kind, self.at, first.attempt_id),
            *(self.amount, self.gpu_ms, self.overrun, self.unfunded, self.promised),
            *(first.memo, first.transaction_id, first.unit),
        )


_FIRST, _AT = attrgetter("seq"), attrgetter("at")


def _by_kind(balances: Mapping[Account, int]) -> Mapping[AccountKind, int]:
    sums = dict.fromkeys(AccountKind, 0)
    for account, amount in balances.items():
        sums[account.kind] += amount
    return sums
