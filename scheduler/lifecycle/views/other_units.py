"""A statement's allowances in units that are not standard GPU time: the same equation, each unit by itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.periods import Period
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.units import STANDARD_GPU, Unit
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, TransactionKind
from scheduler.ledger.statement import Statement, accounts_of, statement
from scheduler.lifecycle.views.unit_shapes import UnitLine, UnitView
from scheduler.ports import Books

STATEMENT_TEXTS = {
    TransactionKind.GRANT: "Granted",
    TransactionKind.CHARGE: "Charged",
    TransactionKind.REFUND: "Refunded",
    TransactionKind.EXPIRY: "Expired",
    TransactionKind.TRANSFER: "Transferred",
    TransactionKind.CORRECTION: "Corrected",
    TransactionKind.PROMISE: "Promised",
    TransactionKind.VEST: "Vested",
    TransactionKind.CLAWBACK: "Clawed back",
    TransactionKind.ROLLOVER: "Rolled over",
}

_HAD = (AccountKind.ALLOWANCE, AccountKind.HELD, AccountKind.PROMISED)


class OtherUnits:
    """Takes the entries of other units out of a stream, and makes a statement of each."""

    def __init__(self) -> None:
        self._entries: dict[Unit, list[PostedEntry]] = {}

    def apart(self, entries: Iterable[PostedEntry]) -> Iterator[PostedEntry]:
        """Those in standard time, and corrections, which are money about it; the others are kept for `views`."""
        for entry in entries:
            if entry.unit == STANDARD_GPU or entry.account.kind not in _HAD:
                yield entry
            else:
                self._entries.setdefault(entry.unit, []).append(entry)

    def views(
        self, books: Books, mine: Sequence[AllowanceBalance] | None, period: Period, *, sees_lines: bool
    ) -> tuple[UnitView, ...]:
        """`mine` None is the company: every allowance."""
        known = books.allowances.balances() if mine is None else mine
        units = {balance.allowance.unit for balance in known} - {STANDARD_GPU}
        accounts = None if mine is None else accounts_of([balance.allowance.id for balance in mine])
        views = []
        for unit in sorted(units):
            opening = opening_of(books, accounts, period, unit)
            made = statement(opening, self._entries.get(unit, ()))
            if made.lines or made.opening or made.available or made.promised:
                views.append(_view(unit, made, sees_lines=sees_lines))
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


def _view(unit: Unit, made: Statement, *, sees_lines: bool) -> UnitView:
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
    lines = [
        UnitLine(
            at=line.at,
            kind=line.kind.value,
            text=f"{STATEMENT_TEXTS[line.kind]}: {line.memo or '–'}",
            quantity=line.amount or line.promised,
            shown=quantity_text(line.amount or line.promised, unit),
        )
        for line in sorted(made.lines, key=lambda each: each.at)
    ]
    return UnitView(
        unit=unit_label(unit),
        quantities=quantities,
        shown={name: quantity_text(amount, unit) for name, amount in quantities.items()},
        lines=tuple(lines) if sees_lines else (),
    )
