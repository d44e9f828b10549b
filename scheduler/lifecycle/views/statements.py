"""Statements: a period of an engineer, a team, a project or the company, every line down to the attempt."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.money import Micro
from scheduler.domain.periods import Period
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.reasons import Reason
from scheduler.domain.sizes import pods_at
from scheduler.domain.units import STANDARD_GPU, AttemptId, Instant, Unit
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.finance.prices.valuation import LineWorth, Valuation, electricity_micro
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, TransactionKind
from scheduler.ledger.statement import Statement, accounts_of, statement
from scheduler.ledger.statement import StatementLine as LedgerLine
from scheduler.lifecycle.views.other_units import STATEMENT_TEXTS, OtherUnits, opening_of
from scheduler.lifecycle.views.owners import Owner
from scheduler.lifecycle.views.shapes import PriceView, StatementLine, StatementView
from scheduler.lifecycle.views.sizes import sizes_text
from scheduler.lifecycle.views.unit_shapes import ReturnedView, UnitLine
from scheduler.metering.efficiency import Efficiency, efficiency_of
from scheduler.metering.use import HourOfUse, total
from scheduler.ports import Books

LINES_MAX = 5_000
"""A statement of a large company has a line an attempt: what is left out is counted, and in its sums."""

LINES_UNBOUNDED = 1 << 62


def statement_view(
    books: Books, book: PriceBook | None, owner: Owner, period: Period, lines_max: int = LINES_MAX
) -> StatementView:
    """The owner's own allowances over the period, as the journal has it, and what it comes to by the price book."""
    mine = None if owner.holders is None else books.allowances.balances(holders=sorted(owner.holders))
    accounts = _accounts(mine, owner)
    opening = opening_of(books, accounts, period)
    others = OtherUnits()
    released = _Released()
    known = _Attempts(books)
    valuation = Valuation(Rating(book) if book is not None else None, known.get)
    entries = books.journal.entries(
        accounts=accounts,
        kinds=_KINDS if accounts is None else None,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
    )
    made = statement(opening, others.apart(released.watching(valuation.watching(known.ahead_of(entries)))))
    shown = sorted(made.lines, key=lambda item: item.at)[:lines_max] if owner.sees_lines else []
    detail = _Detail(
        books, period, shown, others.attempts if owner.sees_lines else (), released, known.get, valuation
    )
    return StatementView(
        owner=owner.id,
        owner_kind=owner.kind.value,
        owner_name=owner.name,
        team=owner.team,
        period=period.name,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        opening=made.opening,
        granted=made.granted,
        charged=made.charged,
        refunded=made.refunded,
        expired=made.expired,
        transferred=made.transferred + made.corrected,
        held=made.held,
        closing=made.available,
        overrun=made.overrun,
        unfunded=made.unfunded,
        lines=tuple(detail.line(line) for line in shown),
        returned=tuple(detail.returned()) if owner.sees_lines else (),
        gpu_ms=_used_gpu_ms(made) + others.gpu_ms,
        lines_left_out=len(made.lines) - len(shown),
        price_book=book.name if book is not None else "",
        currency=book.currency if book is not None else None,
        charged_micro=valuation.charged_micro,
        refunded_micro=valuation.refunded_micro,
        corrected_micro=valuation.corrected_micro,
        cost_micro=valuation.cost_micro,
        no_cost_because=_why_no_cost(valuation),
        vested=made.vested,
        clawed_back=made.clawed_back,
        promised=made.promised,
        others=others.views(books, mine, period, detail if owner.sees_lines else None),
    )


_KINDS = (
    AccountKind.ALLOWANCE,
    AccountKind.HELD,
    AccountKind.PROMISED,
    AccountKind.OVERRUN,
    AccountKind.UNFUNDED,
    AccountKind.CORRECTED,
)
_ENTRIES_AHEAD = 2_000


def _accounts(mine: Sequence[AllowanceBalance] | None, owner: Owner) -> tuple[Account, ...] | None:
    """None for the company: every account of `_KINDS`."""
    if mine is None:
        return None
    ids = [balance.allowance.id for balance in mine]
    engineers = sorted(owner.engineers)
    payers = [*ids, *(f"{kind.value}/{e}" for e in engineers for kind in (AccountKind.OVERRUN, AccountKind.UNFUNDED))]
    return (*accounts_of(ids, engineers), *(Account(AccountKind.CORRECTED, payer) for payer in payers))


def _used_gpu_ms(made: Statement) -> int:
    return sum(line.gpu_ms for line in made.lines if line.kind is TransactionKind.CHARGE)


def _why_no_cost(valuation: Valuation) -> str:
    if valuation.is_known:
        return ""
    return valuation.missing.message if valuation.missing is not None else "there is no price book"


class _Attempts:
    """The attempts that entries name, read some thousand entries at a time."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._known: dict[AttemptId, Attempt] = {}

    def get(self, attempt_id: AttemptId) -> Attempt | None:
        return self._known.get(attempt_id)

    def ahead_of(self, entries: Iterable[PostedEntry]) -> Iterator[PostedEntry]:
        piece: list[PostedEntry] = []
        for entry in entries:
            piece.append(entry)
            if len(piece) == _ENTRIES_AHEAD:
                self._read(piece)
                yield from piece
                piece = []
        self._read(piece)
        yield from piece

    def _read(self, piece: Iterable[PostedEntry]) -> None:
        named = {e.attempt_id for e in piece if e.attempt_id is not None and e.attempt_id not in self._known}
        if named:
            self._known |= self._books.attempts.many(sorted(named))


@dataclass(slots=True)
class _Released:
    """What came back of each attempt's holds by unit, and when: noted while the statement reads its entries."""

    of_attempt: dict[AttemptId, dict[Unit, tuple[Instant, int]]] = field(default_factory=dict)

    def watching(self, entries: Iterable[PostedEntry]) -> Iterator[PostedEntry]:
        for entry in entries:
            is_release = entry.kind is TransactionKind.RELEASE and entry.account.kind is AccountKind.ALLOWANCE
            if is_release and entry.attempt_id is not None:
                by_unit = self.of_attempt.setdefault(entry.attempt_id, {})
                _, amount = by_unit.get(entry.unit, (entry.at, 0))
                by_unit[entry.unit] = (entry.at, amount + entry.amount)
            yield entry


class _Detail:
    """What stands behind the lines: attempts, workloads and readings, each read once."""

    def __init__(
        self,
        books: Books,
        period: Period,
        shown: Iterable[LedgerLine],
        drawn: Iterable[AttemptId],
        released: _Released,
        attempt: Callable[[AttemptId], Attempt | None],
        valuation: Valuation,
    ) -> None:
        self._valuation = valuation
        self._period = period
        self._attempt = attempt
        self._released = released.of_attempt
        named = sorted({line.attempt_id for line in shown if line.attempt_id is not None} | set(drawn))
        both = {*named, *self._resting()}
        found = [a.workload_id for id_ in sorted(both) if (a := attempt(id_)) is not None]
        self._workloads = books.workloads.many(found)
        self._hours: dict[AttemptId, list[HourOfUse]] = {}
        hours = (
            books.samples.hours(attempts=named, starts_at=period.starts_at, ends_at=period.ends_at) if named else ()
        )
        for hour in hours:
            if hour.attempt_id is not None:
                self._hours.setdefault(hour.attempt_id, []).append(hour)

    def line(self, line: LedgerLine) -> StatementLine:
        attempt = self._attempt(line.attempt_id) if line.attempt_id is not None else None
        workload = self._workloads.get(attempt.workload_id) if attempt is not None else None
        name = workload.spec.name if workload is not None else ""
        key = (line.kind, line.attempt_id or line.transaction_id, STANDARD_GPU)
        is_valued = self._valuation.is_known and line.kind in _VALUED
        worth = self._valuation.lines.get(key, LineWorth()) if is_valued else None
        is_use = line.kind is TransactionKind.CHARGE and line.attempt_id is not None
        use = total(h.use for h in self._hours.get(line.attempt_id or AttemptId(""), ())) if is_use else None
        is_read = use is not None and use.windows > 0
        found = self._efficiency(line.attempt_id)
        return StatementLine(
            at=line.at,
            kind=line.kind.value,
            text=self._said(line, attempt, name),
            attempt_id=line.attempt_id or "",
            workload_id=attempt.workload_id if attempt is not None else "",
            workload_name=name,
            gpu_class=attempt.gpu_class if attempt is not None else "",
            gpus=pods_at(attempt, line.at) * attempt.pod.gpus if attempt is not None else 0,
            gpu_ms=line.gpu_ms,
            weight=attempt.weight if attempt is not None else 0,
            class_factor=attempt.class_factor if attempt is not None else 0,
            amount=line.amount,
            used_by=attempt.owner if attempt is not None else "",
            project=(workload.spec.project or "") if workload is not None else "",
            pool=attempt.pool if attempt is not None else "",
            overrun=line.overrun,
            unfunded=line.unfunded,
            prices=_prices(worth),
            cost_micro=Micro(worth.micro) if worth is not None else None,
            energy_joules=use.millijoules // 1_000 if is_read and use is not None and use.energy_ms else None,
            electricity_micro=self._electricity(line.attempt_id) if is_use else None,
            efficiency_permille=found.mean_permille if found is not None else None,
            efficiency_measure=found.measure.value if found is not None else "",
            idle_permille=found.idle_permille if found is not None else None,
            memory_bytes_max=found.memory_bytes_max if found is not None else None,
        )

    def of_unit(self, line: LedgerLine, unit: Unit) -> UnitLine:
        """A line in another unit than standard time, with the attempt that drew on it."""
        attempt = self._attempt(line.attempt_id) if line.attempt_id is not None else None
        workload = self._workloads.get(attempt.workload_id) if attempt is not None else None
        worth = self._valuation.lines.get((line.kind, line.attempt_id or line.transaction_id, unit))
        quantity = line.amount or line.promised
        name = workload.spec.name if workload is not None else line.attempt_id
        return UnitLine(
            at=line.at,
            kind=line.kind.value,
            text=self._said(line, attempt, name or ""),
            quantity=quantity,
            shown=quantity_text(quantity, unit),
            attempt_id=line.attempt_id or "",
            workload_id=attempt.workload_id if attempt is not None else "",
            gpus=pods_at(attempt, line.at) * attempt.pod.gpus if attempt is not None else 0,
            gpu_class=attempt.gpu_class if attempt is not None else "",
            gpu_ms=line.gpu_ms,
            cost_micro=Micro(worth.micro) if worth is not None and self._valuation.is_known else None,
        )

    def _said(self, line: LedgerLine, attempt: Attempt | None, name: str) -> str:
        """What was posted, of which attempt; of a refund also why."""
        what = STATEMENT_TEXTS[line.kind]
        if attempt is None:
            return f"{what}: {line.memo or '–'}"
        why = f" ({line.memo})" if line.kind is TransactionKind.REFUND and line.memo else ""
        return f"{what}: {self._named(attempt, name, line.at)}{why}"

    def _named(self, attempt: Attempt, name: str, at: Instant) -> str:
        """Of an elastic one also the sizes that it had in the period, up to then."""
        began = attempt.started_at if attempt.started_at is not None else attempt.launched_at
        sizes = sizes_text(attempt, max(self._period.starts_at, began), Instant(at + 1))
        return f"{name}, attempt {attempt.number}" + (f", {sizes}" if sizes else "")

    def _electricity(self, attempt_id: AttemptId | None) -> Micro | None:
        rating = self._valuation.rating
        hours = self._hours.get(attempt_id, []) if attempt_id is not None else []
        if rating is None or not any(hour.use.energy_ms for hour in hours):
            return None
        return electricity_micro(rating, ((hour.hour, hour.use.millijoules) for hour in hours))

    def _efficiency(self, attempt_id: AttemptId | None) -> Efficiency | None:
        hours = self._hours.get(attempt_id, ()) if attempt_id is not None else ()
        return efficiency_of(total(hour.use for hour in hours)) if hours else None

    def returned(self) -> Iterator[ReturnedView]:
        """Of attempts that were ended because they rested."""
        for attempt_id in self._resting():
            attempt = self._attempt(attempt_id)
            assert attempt is not None
            assert attempt.stop_reason is not None
            workload = self._workloads.get(attempt.workload_id)
            name = workload.spec.name if workload is not None else ""
            for unit, (at, amount) in sorted(self._released[attempt_id].items()):
                yield ReturnedView(
                    *(at, attempt_id, attempt.workload_id, name, attempt.stop_reason.value),
                    unit=unit_label(unit),
                    quantity=amount,
                    shown=quantity_text(amount, unit),
                    hours_back_ms=amount if unit == STANDARD_GPU else 0,
                )

    def _resting(self) -> list[AttemptId]:
        return [
            id_
            for id_ in self._released
            if (found := self._attempt(id_)) is not None and found.stop_reason in {Reason.IDLE, Reason.IDLE_ENDED}
        ]


_VALUED = {TransactionKind.CHARGE, TransactionKind.REFUND, TransactionKind.CORRECTION}


def _prices(worth: LineWorth | None) -> tuple[PriceView, ...]:
    if worth is None:
        return ()
    return tuple(
        PriceView(price, is_off_peak, gpu_ms)
        for (price, is_off_peak), gpu_ms in sorted(worth.gpu_ms_at.items())
        if gpu_ms
    )
