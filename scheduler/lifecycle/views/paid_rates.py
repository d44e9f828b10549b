"""At which rates a statement's line was paid: pay keeps the weights and factors of its grant where later ones buy less.

An attempt that such pay and somebody else paid for, an overrun say, has one line for each rate, so that on every line
GPU-hours × weight × class factor are its amount.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.money import Micro
from scheduler.domain.pay_rates import rate_paid
from scheduler.domain.periods import Period
from scheduler.domain.terms import KeptTerms
from scheduler.domain.units import STANDARD_GPU, AllowanceId, PerMille
from scheduler.domain.workloads import Attempt
from scheduler.ledger.journal import Account, AccountKind, PostedEntry
from scheduler.ledger.statement import STATED
from scheduler.ledger.statement import StatementLine as LedgerLine
from scheduler.lifecycle.views.statement_shapes import StatementLine
from scheduler.ports import Books

_PER = 1_000_000
"""A weight times a factor of one, both in per mille."""


@dataclass(slots=True)
class PaidPart:
    """What of a line was paid at one rate, with the signs of the line."""

    weight: PerMille
    class_factor: PerMille
    gpu_ms: int = 0
    amount: int = 0
    overrun: int = 0
    unfunded: int = 0

    def add(self, entry: PostedEntry) -> None:
        self.gpu_ms += abs(entry.gpu_ms)
        match entry.account.kind:
            case AccountKind.OVERRUN:
                self.overrun -= entry.amount
            case AccountKind.UNFUNDED:
                self.unfunded -= entry.amount
            case _:
                self.amount += entry.amount


class PaidRates:
    """Of a statement over these accounts; None: the company's. What was paid at an attempt's own rate, as nearly all
    was, is told by its sums: of the rest alone entries are read, and none where no allowance of `mine` keeps terms."""

    def __init__(
        self,
        books: Books,
        accounts: Sequence[Account] | None,
        mine: Sequence[AllowanceBalance] | None,
        period: Period,
    ) -> None:
        self._books = books
        self._may_differ = mine is None or any(each.allowance.kept_terms is not None for each in mine)
        self._accounts = None if accounts is None else frozenset(accounts)
        self._period = period
        self._kept: dict[str, KeptTerms | None] = {}

    def of(self, line: LedgerLine, attempt: Attempt | None) -> list[PaidPart]:
        """The parts of a line in standard time, by rate; one where it was paid at one, none where no attempt was."""
        if attempt is None:
            return []
        paid = abs(line.amount) + abs(line.overrun) + abs(line.unfunded)
        due = line.gpu_ms * attempt.weight * attempt.class_factor
        if not self._may_differ or abs(due - paid * _PER) < _PER:
            own = (attempt.weight, attempt.class_factor)
            return [PaidPart(*own, line.gpu_ms, line.amount, line.overrun, line.unfunded)]
        parts: dict[tuple[PerMille, PerMille], PaidPart] = {}
        for entry in self._books.journal.entries(attempt_id=attempt.id, transactions=[line.kind]):
            if entry.unit == STANDARD_GPU and self._is_stated(entry):
                rate = rate_paid(attempt, self._kept_of(entry.account))
                parts.setdefault(rate, PaidPart(*rate)).add(entry)
        return list(parts.values())

    def _is_stated(self, entry: PostedEntry) -> bool:
        if not self._period.contains(entry.at):
            return False
        return entry.account.kind in STATED if self._accounts is None else entry.account in self._accounts

    def _kept_of(self, account: Account) -> KeptTerms | None:
        """Those of the allowance whose account it is; what is owed or ran unfunded has none."""
        if account.kind in {AccountKind.OVERRUN, AccountKind.UNFUNDED}:
            return None
        if account.owner not in self._kept:
            balance = self._books.allowances.get(AllowanceId(account.owner))
            self._kept[account.owner] = balance.allowance.kept_terms if balance is not None else None
        return self._kept[account.owner]


def divided(line: StatementLine, parts: Sequence[PaidPart], attempt: Attempt | None) -> list[StatementLine]:
    """A line for each part. What it is worth is divided as the physical time is; what was measured stands on the first."""
    if attempt is None or not parts:
        return [line]
    own = (attempt.weight, attempt.class_factor)
    whole = max(1, sum(part.gpu_ms for part in parts))
    made: list[StatementLine] = []
    before = until = 0
    for part in parts:
        before, until = until, until + part.gpu_ms
        is_own = (part.weight, part.class_factor) == own
        of_part = replace(
            line,
            text=line.text if is_own else f"{line.text}, at the terms of its grant",
            gpu_ms=part.gpu_ms,
            weight=part.weight,
            class_factor=part.class_factor,
            amount=part.amount,
            overrun=part.overrun,
            unfunded=part.unfunded,
        )
        if len(parts) > 1:
            of_part = _share(of_part, before, until, whole, is_first=not made)
        made.append(of_part)
    return made


def _share(line: StatementLine, before: int, until: int, whole: int, *, is_first: bool) -> StatementLine:
    def part(amount: int) -> int:
        return amount * until // whole - amount * before // whole

    shared = replace(
        line,
        cost_micro=None if line.cost_micro is None else Micro(part(line.cost_micro)),
        prices=tuple(replace(price, gpu_ms=part(price.gpu_ms)) for price in line.prices),
    )
    if is_first:
        return shared
    return replace(
        shared,
        energy_joules=None,
        electricity_micro=None,
        electricity_unknown_from=None,
        efficiency_permille=None,
        efficiency_measure="",
        idle_permille=None,
        memory_bytes_max=None,
    )
