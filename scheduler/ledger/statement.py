"""Statement: what an owner had, what came and went, and what is left, from the journal's entries alone.

    opening + granted + vested − charged + refunded − expired + transferred + corrected = available + held

`opening` counts held hours as had. What is promised and has not vested stands beside it:

    promised before + promised now − vested − clawed back = promised

A statement is of one unit. Overrun and unfunded hours stand beside it: no allowance paid them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scheduler.domain.units import AllowanceId, AttemptId, EngineerId, Instant
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, TransactionKind

_HAD = frozenset({AccountKind.ALLOWANCE, AccountKind.HELD})
_INTERNAL = frozenset({TransactionKind.HOLD, TransactionKind.RELEASE})
"""They move hours between available and held: nothing comes or goes."""


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One attempt's charges, its refund, or one other transaction.

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
    transaction_id: str = field(default="", compare=False)
    """Of its first transaction."""


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
    kinds = sorted({*_HAD, AccountKind.PROMISED})
    had = [Account(kind, allowance) for allowance in allowances for kind in kinds]
    beyond = [Account(kind, e) for e in engineers for kind in (AccountKind.OVERRUN, AccountKind.UNFUNDED)]
    return (*had, *beyond)


def statement(opening: Mapping[Account, int], entries: Iterable[PostedEntry]) -> Statement:
    """The statement from the balances at the period's start and the period's entries, all on `accounts_of` it."""
    available = sum(amount for account, amount in opening.items() if account.kind is AccountKind.ALLOWANCE)
    held = sum(amount for account, amount in opening.items() if account.kind is AccountKind.HELD)
    promised = sum(amount for account, amount in opening.items() if account.kind is AccountKind.PROMISED)
    had = available + held
    lines: dict[tuple[TransactionKind, str], _Line] = {}
    for entry in entries:
        if entry.account.kind is AccountKind.ALLOWANCE:
            available += entry.amount
        elif entry.account.kind is AccountKind.HELD:
            held += entry.amount
        elif entry.account.kind is AccountKind.PROMISED:
            promised += entry.amount
        if entry.kind not in _INTERNAL:
            key = (entry.kind, entry.attempt_id or entry.transaction_id)
            lines.setdefault(key, _Line(entry)).add(entry)
    return Statement(had, available, held, tuple(line.finished() for line in lines.values()), promised)


@dataclass(slots=True)
class _Line:
    """A line while its entries come in."""

    first: PostedEntry
    at: Instant = field(init=False)
    amount: int = 0
    gpu_ms: int = 0
    overrun: int = 0
    unfunded: int = 0
    promised: int = 0

    def __post_init__(self) -> None:
        self.at = self.first.at

    def add(self, entry: PostedEntry) -> None:
        self.at = max(self.at, entry.at)
        self.gpu_ms += abs(entry.gpu_ms)
        if entry.account.kind in _HAD:
            self.amount += entry.amount
        elif entry.account.kind is AccountKind.PROMISED:
            self.promised += entry.amount
        elif entry.account.kind is AccountKind.OVERRUN:
            self.overrun -= entry.amount
        else:
            assert entry.account.kind is AccountKind.UNFUNDED, "a statement reads no other accounts"
            self.unfunded -= entry.amount

    def finished(self) -> StatementLine:
        return StatementLine(
            kind=self.first.kind,
            at=self.at,
            attempt_id=self.first.attempt_id,
            amount=self.amount,
            gpu_ms=self.gpu_ms,
            overrun=self.overrun,
            unfunded=self.unfunded,
            promised=self.promised,
            memo=self.first.memo,
            transaction_id=self.first.transaction_id,
        )
