"""A statement's lines from the journal's entries, simply, one after the other: what a statement's own are held against."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.domain.units import STANDARD_GPU, Instant, Unit
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, TransactionKind
from scheduler.ledger.statement import INTERNAL, Statement, StatementLine, statement

Sums = Mapping[TransactionKind, list[int]]

_HAD = (AccountKind.ALLOWANCE, AccountKind.HELD)


def folded(opening: Mapping[Account, int], entries: Iterable[PostedEntry]) -> Statement:
    """The statement from the balances at the period's start and the period's entries, all on `accounts_of` it."""
    closing = dict(opening)
    known = list(entries)
    for entry in known:
        closing[entry.account] = closing.get(entry.account, 0) + entry.amount
    return statement(opening, closing, folded_lines(known))


def folded_lines(entries: Iterable[PostedEntry]) -> list[StatementLine]:
    """In the order of their last instants, and of their first entries where these are the same."""
    lines: dict[tuple[str, str, Unit], _Line] = {}
    for entry in entries:
        if entry.kind not in INTERNAL:
            key = (entry.kind, entry.attempt_id or entry.transaction_id, entry.unit)
            lines.setdefault(key, _Line(entry)).add(entry)
    return sorted((line.finished() for line in lines.values()), key=lambda line: line.at)


def company_of(lines: Sequence[StatementLine], first: int) -> tuple[list[StatementLine], Sums, int]:
    """Of these lines the first in standard time and all in other units, what the others come to, and how many they are."""
    standard = [line for line in lines if line.unit == STANDARD_GPU]
    left = standard[first:]
    return [line for line in lines if line not in left], sums_of(left), len(left)


def sums_of(lines: Iterable[StatementLine]) -> Sums:
    """By kind, where they come to anything."""
    sums: dict[TransactionKind, list[int]] = defaultdict(lambda: [0] * 5)
    for line in lines:
        parts = (line.amount, line.gpu_ms, line.overrun, line.unfunded, line.promised)
        sums[line.kind] = [one + other for one, other in zip(sums[line.kind], parts, strict=True)]
    return {kind: found for kind, found in sums.items() if any(found)}


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
            unit=self.first.unit,
        )
