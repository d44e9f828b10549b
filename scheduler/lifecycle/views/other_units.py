"""A statement's allowances in units that are not standard GPU time: the same equation, each unit by itself."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.periods import Period
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.units import STANDARD_GPU, Instant, Unit
from scheduler.ledger.journal import Account, AccountKind, TransactionKind
from scheduler.ledger.statement import Statement, StatementLine, accounts_of, statement
from scheduler.lifecycle.views.unit_shapes import UnitLine, UnitView
from scheduler.ports import Books

STATEMENT_TEXTS = {
    TransactionKind.GRANT: "Granted",
    TransactionKind.CHARGE: "Charged",
    TransactionKind.REFUND: "Refunded",
    TransactionKind.EXPIRY: "Expired",
    TransactionKind.TRANSFER: "Transferred",
    TransactionKind.CORRECTION: "Corrected",
    TransactionKind.PAYMENT: "Paid",
    TransactionKind.PROMISE: "Promised",
    TransactionKind.VEST: "Vested",
    TransactionKind.CLAWBACK: "Clawed back",
    TransactionKind.ROLLOVER: "Rolled over",
}

_HAD = (AccountKind.ALLOWANCE, AccountKind.HELD, AccountKind.PROMISED)


class LineDetail(Protocol):
    """Whoever knows what stands behind a line."""

    def of_unit(self, line: StatementLine, unit: Unit) -> UnitLine: ...


class OtherUnits:
    """Those lines of a statement that are of other units, and a statement of each."""

    def __init__(self, lines: Iterable[StatementLine]) -> None:
        self.lines = [line for line in lines if line.unit != STANDARD_GPU]

    @property
    def gpu_ms(self) -> int:
        """The physical time that other units paid for."""
        return sum(
            line.gpu_ms for line in self.lines if line.kind is TransactionKind.CHARGE and line.attempt_id is not None
        )

    def views(
        self, books: Books, mine: Sequence[AllowanceBalance] | None, period: Period, detail: LineDetail | None
    ) -> tuple[UnitView, ...]:
        """`mine` None is the company: every allowance. Without `detail` there are no lines."""
        known = books.allowances.balances() if mine is None else mine
        units = {balance.allowance.unit for balance in known} - {STANDARD_GPU}
        accounts = None if mine is None else accounts_of([balance.allowance.id for balance in mine])
        views = []
        for unit in sorted(units):
            made = statement_in(books, accounts, period, unit, self.lines)
            if made.lines or made.opening or made.available or made.promised:
                views.append(_view(unit, made, detail))
        return tuple(views)


def statement_in(
    books: Books, accounts: Sequence[Account] | None, period: Period, unit: Unit, lines: Iterable[StatementLine]
) -> Statement:
    """The statement in this unit, of the lines that are; `accounts` None is the company."""
    opening = _balances(books, accounts, period.starts_at, unit)
    closing = _balances(books, accounts, period.ends_at, unit)
    return statement(opening, closing, [line for line in lines if line.unit == unit])


def _balances(books: Books, accounts: Sequence[Account] | None, at: Instant, unit: Unit) -> Mapping[Account, int]:
    if accounts is None:
        sums = books.journal.kind_totals(kinds=_HAD, ends_at=at, unit=unit)
        return {Account(kind, ""): amount for kind, amount in sums.items()}
    wanted = [account for account in accounts if account.kind in _HAD]
    return books.journal.totals(ends_at=at, accounts=wanted, unit=unit)


def _view(unit: Unit, made: Statement, detail: LineDetail | None) -> UnitView:
    quantities = {
        "opening": made.opening,
        "granted": made.granted,
        "vested": made.vested,
        "charged": made.charged,
        "refunded": made.refunded,
        "expired": made.expired,
        "transferred": made.transferred,
        "held": made.held,
        "closing": made.available,
        "promised": made.promised,
        "clawed_back": made.clawed_back,
    }
    return UnitView(
        unit=unit_label(unit),
        quantities=quantities,
        shown={name: quantity_text(amount, unit) for name, amount in quantities.items()},
        lines=() if detail is None else tuple(detail.of_unit(line, unit) for line in made.lines),
    )
