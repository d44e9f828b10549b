"""A statement's allowances in units that are not standard GPU time: the same equation, each unit by itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.periods import Period
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.units import STANDARD_GPU, AttemptId, Unit
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, TransactionKind
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


_OF_ATTEMPTS = {TransactionKind.CHARGE, TransactionKind.REFUND}


class LineDetail(Protocol):
    """Whoever knows what stands behind a line."""

    def of_unit(self, line: StatementLine, unit: Unit) -> UnitLine: ...


class OtherUnits:
    """Takes the entries of other units out of a stream, and makes a statement of each."""

    def __init__(self) -> None:
        self._entries: dict[Unit, list[PostedEntry]] = {}
        self.attempts: set[AttemptId] = set()
        """Those that drew on other units."""
        self.gpu_ms = 0
        """The physical time that other units paid for."""

    def apart(self, entries: Iterable[PostedEntry]) -> Iterator[PostedEntry]:
        """Those in standard time, and corrections, which are money about it; the others are kept for `views`."""
        for entry in entries:
            if entry.unit == STANDARD_GPU or entry.account.kind not in _HAD:
                yield entry
            else:
                self._entries.setdefault(entry.unit, []).append(entry)
                if entry.attempt_id is not None and entry.kind in _OF_ATTEMPTS:
                    self.attempts.add(entry.attempt_id)
                    self.gpu_ms += abs(entry.gpu_ms) if entry.kind is TransactionKind.CHARGE else 0

    def views(
        self, books: Books, mine: Sequence[AllowanceBalance] | None, period: Period, detail: LineDetail | None
    ) -> tuple[UnitView, ...]:
        """`mine` None is the company: every allowance. Without `detail` there are no lines."""
        known = books.allowances.balances() if mine is None else mine
        units = {balance.allowance.unit for balance in known} - {STANDARD_GPU}
        accounts = None if mine is None else accounts_of([balance.allowance.id for balance in mine])
        views = []
        for unit in sorted(units):
            opening = opening_of(books, accounts, period, unit)
            made = statement(opening, self._entries.get(unit, ()))
            if made.lines or made.opening or made.available or made.promised:
                views.append(_view(unit, made, detail))
        return tuple(views)


def opening_of(
    books: Books, accounts: Iterable[Account] | None, period: Period, unit: Unit = STANDARD_GPU
) -> Mapping[Account, int]:
    """The balances at the period's start; `accounts` None is the company."""
    if accounts is None:
        sums = books.journal.kind_totals(kinds=_HAD, ends_at=period.starts_at, unit=unit)
        return {Account(kind, ""): amount for kind, amount in sums.items()}
    wanted = [account for account in accounts if account.kind in _HAD]
    return books.journal.totals(ends_at=period.starts_at, accounts=wanted, unit=unit)


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
        lines=tuple(detail.of_unit(line, unit) for line in sorted(made.lines, key=lambda each: each.at))
        if detail is not None
        else (),
    )
