"""Statements: a period of an engineer, a team, a project or the company, every line down to the attempt."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scheduler.domain.money import Micro
from scheduler.domain.periods import Period
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.reasons import Reason
from scheduler.domain.sizes import pods_at
from scheduler.domain.units import STANDARD_GPU, AttemptId, Instant, Unit
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.postings import Posting
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.finance.prices.valuation import Electricity, LineWorth, Valuation, electricity_of
from scheduler.ledger.journal import Account, AccountKind, TransactionKind
from scheduler.ledger.statement import CompanyLines, Released, Statement, accounts_of, in_time, lines_of
from scheduler.ledger.statement import StatementLine as LedgerLine
from scheduler.lifecycle.views.line_owners import LineOwners, People
from scheduler.lifecycle.views.other_units import STATEMENT_TEXTS, OtherUnits, statement_in
from scheduler.lifecycle.views.owners import Owner
from scheduler.lifecycle.views.paid_rates import PaidRates, divided
from scheduler.lifecycle.views.sizes import sizes_text
from scheduler.lifecycle.views.statement_shapes import PriceView, StatementLine, StatementView
from scheduler.lifecycle.views.unit_shapes import Corrected, ReturnedView, UnitLine
from scheduler.metering.efficiency import efficiency_of
from scheduler.metering.use import HourOfUse, total
from scheduler.ports import Books

LINES_MAX = 5_000
"""A statement of a large company has a line an attempt: what is left out is counted, and in its sums."""

LINES_UNBOUNDED = 1 << 62


def statement_view(
    books: Books, book: PriceBook | None, owner: Owner, period: Period, people: People, lines_max: int = LINES_MAX
) -> StatementView:
    """The owner's own allowances over the period, as the journal has it, and what it comes to by the price book."""
    mine = None if owner.holders is None else books.allowances.balances(holders=sorted(owner.holders))
    accounts = None if mine is None else accounts_of([each.allowance.id for each in mine], sorted(owner.engineers))
    attempts = _Attempts(books)
    valuation = Valuation(Rating(book) if book is not None else None, attempts.get)
    if accounts is None:
        found, returned = _of_company(books, valuation, period, lines_max)
    else:
        found, returned = _of_accounts(books, valuation, accounts, period)
    made = statement_in(books, accounts, period, STANDARD_GPU, (*found.lines, *found.rest))
    others = OtherUnits(found.lines)
    standard = [line for line in found.lines if line.unit == STANDARD_GPU]
    shown = standard[:lines_max] if owner.sees_lines else []
    told = (*shown, *others.lines) if owner.sees_lines else ()
    returned = in_time(returned) if owner.sees_lines else []
    valuation.value(attempts.ahead_of(valuation.left))
    owners = LineOwners.read(books, people, told)
    detail = _Detail(books, period, owners, told, returned, attempts, valuation)
    rates = PaidRates(books, accounts, mine, period)
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
        lines=tuple(_stated(shown, detail, rates, attempts)),
        returned=tuple(detail.returned(each) for each in returned),
        gpu_ms=_used_gpu_ms(made) + others.gpu_ms,
        lines_left_out=found.left_out + len(standard) - len(shown),
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
        corrections=_corrections(valuation.left) if owner.sees_lines else (),
    )


def _stated(
    shown: Iterable[LedgerLine], detail: "_Detail", rates: PaidRates, attempts: "_Attempts"
) -> Iterator[StatementLine]:
    """The lines as people read them, one for each rate at which an attempt was paid."""
    for line in shown:
        attempt = attempts.get(line.attempt_id)
        yield from divided(detail.line(line), rates.of(line, attempt), attempt)


def _of_accounts(
    books: Books, valuation: Valuation, accounts: Sequence[Account], period: Period
) -> tuple[CompanyLines, list[Released]]:
    """Each entry is read once, for its line and for its worth. Corrections of money stand in accounts of their own of
    whoever paid."""
    payers = [
        each.owner if each.kind is AccountKind.ALLOWANCE else f"{each.kind.value}/{each.owner}"
        for each in accounts
        if each.kind in {AccountKind.ALLOWANCE, AccountKind.OVERRUN, AccountKind.UNFUNDED}
    ]
    entries = books.journal.stated(
        accounts=(*accounts, *(Account(AccountKind.CORRECTED, payer) for payer in payers)),
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        returned_for=_RESTED,
    )
    lines, returned = lines_of(valuation.along(entries))
    return CompanyLines(lines, [], 0), returned


def _of_company(
    books: Books, valuation: Valuation, period: Period, lines_max: int
) -> tuple[CompanyLines, list[Released]]:
    """Too much to be added up entry by entry: the database does that, and only what is worth something is read."""
    starts_at, ends_at = period.starts_at, period.ends_at
    found = books.journal.company_lines(starts_at=starts_at, ends_at=ends_at, first=lines_max)
    left: list[int] = []
    if valuation.rating is not None:
        told = {line.attempt_id for line in found.lines if line.attempt_id is not None}
        left = valuation.of_company(books.journal.used(starts_at=starts_at, ends_at=ends_at), told)
    for _ in valuation.along(books.journal.worth_beside(starts_at=starts_at, ends_at=ends_at, left=left)):
        pass
    return found, books.journal.released(stopped_for=_RESTED, starts_at=starts_at, ends_at=ends_at)


_RESTED = (Reason.IDLE, Reason.IDLE_ENDED)
"""Attempts that were ended for these gave their hours back because they rested."""


def _corrections(postings: Iterable[Posting]) -> tuple[Corrected, ...]:
    """One for each time that closed charges were corrected, however many allowances had paid them."""
    sums: dict[tuple[Instant, str], int] = defaultdict(int)
    for posting in postings:
        if posting.money is not None:
            sums[posting.at, posting.memo] += posting.money
    what = STATEMENT_TEXTS[TransactionKind.CORRECTION]
    return tuple(Corrected(at, f"{what}: {memo}", Micro(micro)) for (at, memo), micro in sorted(sums.items()))


def _used_gpu_ms(made: Statement) -> int:
    return sum(line.gpu_ms for line in made.lines if line.kind is TransactionKind.CHARGE)


def _why_no_cost(valuation: Valuation) -> str:
    if valuation.is_known:
        return ""
    return valuation.missing.message if valuation.missing is not None else "there is no price book"


class _Attempts:
    """The attempts that entries and lines name, each read once."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._known: dict[AttemptId, Attempt] = {}

    def get(self, attempt_id: AttemptId | None) -> Attempt | None:
        return None if attempt_id is None else self._known.get(attempt_id)

    def ahead_of(self, postings: Sequence[Posting]) -> Iterator[Posting]:
        """The postings, the attempts of some thousand read before them."""
        for first in range(0, len(postings), _POSTINGS_AHEAD):
            piece = postings[first : first + _POSTINGS_AHEAD]
            self.read(posting.attempt_id for posting in piece)
            yield from piece

    def read(self, named: Iterable[AttemptId | None]) -> None:
        new = {each for each in named if each is not None and each not in self._known}
        if new:
            self._known |= self._books.attempts.many(sorted(new))


_POSTINGS_AHEAD = 2_000


class _Detail:
    """What stands behind the lines: attempts, workloads and readings, each read once."""

    def __init__(
        self,
        books: Books,
        period: Period,
        owners: LineOwners,
        lines: Iterable[LedgerLine],
        returned: Iterable[Released],
        attempts: _Attempts,
        valuation: Valuation,
    ) -> None:
        self._owners = owners
        self._valuation = valuation
        self._period = period
        self._attempt = attempts.get
        named = sorted({line.attempt_id for line in lines if line.attempt_id is not None})
        both = {*named, *(each.attempt_id for each in returned)}
        attempts.read(both)
        self._titles = books.workloads.titles([a.workload_id for id_ in sorted(both) if (a := attempts.get(id_))])
        self._hours: dict[AttemptId, list[HourOfUse]] = {}
        hours = (
            books.samples.hours(attempts=named, starts_at=period.starts_at, ends_at=period.ends_at) if named else ()
        )
        for hour in hours:
            if hour.attempt_id is not None:
                self._hours.setdefault(hour.attempt_id, []).append(hour)

    def line(self, line: LedgerLine) -> StatementLine:
        attempt = self._attempt(line.attempt_id)
        ran = _ran(attempt, line.at)
        title = self._titles.get(attempt.workload_id) if attempt is not None else None
        name = title.name if title is not None else ""
        key = (line.kind, line.key, STANDARD_GPU)
        is_valued = self._valuation.is_known and line.kind in _VALUED
        worth = self._valuation.lines.get(key, LineWorth()) if is_valued else None
        is_use = line.kind is TransactionKind.CHARGE and line.attempt_id is not None
        hours = self._hours.get(line.attempt_id, ()) if line.attempt_id is not None else ()
        use = total(hour.use for hour in hours) if hours else None
        is_read = is_use and use is not None and use.windows > 0
        found = efficiency_of(use) if use is not None else None
        electricity = self._electricity(line.attempt_id) if is_use else None
        return StatementLine(
            at=line.at,
            kind=line.kind.value,
            text=self._said(line, attempt, name),
            attempt_id=line.attempt_id or "",
            workload_id=ran.workload_id,
            workload_name=name,
            gpu_class=ran.gpu_class,
            gpus=ran.gpus,
            gpu_ms=line.gpu_ms,
            weight=ran.weight,
            class_factor=ran.class_factor,
            amount=line.amount,
            used_by=ran.owner,
            project=(title.project or "") if title is not None else "",
            pool=ran.pool,
            overrun=line.overrun,
            unfunded=line.unfunded,
            prices=_prices(worth),
            cost_micro=Micro(worth.micro) if worth is not None else None,
            energy_joules=use.millijoules // 1_000 if is_read and use is not None and use.energy_ms else None,
            electricity_micro=electricity.known_micro if electricity is not None else None,
            electricity_unknown_from=electricity.unpriced_from if electricity is not None else None,
            efficiency_permille=found.mean_permille if found is not None else None,
            efficiency_measure=found.measure.value if found is not None else "",
            idle_permille=found.idle_permille if found is not None else None,
            memory_bytes_max=found.memory_bytes_max if found is not None else None,
            team=ran.team,
            holder=self._owners.holder(line),
            who=self._owners.who(line, attempt),
        )

    def of_unit(self, line: LedgerLine, unit: Unit) -> UnitLine:
        """A line in another unit than standard time, with the attempt that drew on it."""
        attempt = self._attempt(line.attempt_id)
        ran = _ran(attempt, line.at)
        title = self._titles.get(attempt.workload_id) if attempt is not None else None
        worth = self._valuation.lines.get((line.kind, line.key, unit)) if self._valuation.is_known else None
        quantity = line.amount or line.promised
        name = title.name if title is not None else line.attempt_id
        return UnitLine(
            at=line.at,
            kind=line.kind.value,
            text=self._said(line, attempt, name or ""),
            quantity=quantity,
            shown=quantity_text(quantity, unit),
            attempt_id=line.attempt_id or "",
            workload_id=ran.workload_id,
            gpus=ran.gpus,
            gpu_class=ran.gpu_class,
            gpu_ms=line.gpu_ms,
            cost_micro=Micro(worth.micro) if worth is not None else None,
            per_million_micro=worth.per_million if worth is not None else None,
            holder=self._owners.holder(line),
            who=self._owners.who(line, attempt),
        )

    def _said(self, line: LedgerLine, attempt: Attempt | None, name: str) -> str:
        """What was posted, of which attempt; of a refund also why."""
        what = STATEMENT_TEXTS[line.kind]
        late_ms = self._valuation.late_ms.get((line.kind, line.key, line.unit))
        if attempt is None:
            late = "" if late_ms is None else " (of a closed period)"
            return f"{what}: {line.memo or '–'}{late}"
        why = f" ({line.memo})" if line.kind is TransactionKind.REFUND and line.memo else ""
        late = f", of it {quantity_text(late_ms, STANDARD_GPU)} on GPUs of a closed period" if late_ms else ""
        return f"{what}: {self._named(attempt, name, line.at)}{why}{late}"

    def _named(self, attempt: Attempt, name: str, at: Instant) -> str:
        """Of an elastic one also the sizes that it had in the period, up to then."""
        began = attempt.started_at if attempt.started_at is not None else attempt.launched_at
        sizes = sizes_text(attempt, max(self._period.starts_at, began), Instant(at + 1))
        return f"{name}, attempt {attempt.number}" + (f", {sizes}" if sizes else "")

    def _electricity(self, attempt_id: AttemptId | None) -> Electricity | None:
        rating = self._valuation.rating
        hours = self._hours.get(attempt_id, []) if attempt_id is not None else []
        if rating is None or not any(hour.use.energy_ms for hour in hours):
            return None
        return electricity_of(rating, ((hour.hour, hour.use.millijoules) for hour in hours))

    def returned(self, back: Released) -> ReturnedView:
        """Of an attempt that was ended because it rested."""
        attempt = self._attempt(back.attempt_id)
        assert attempt is not None
        assert attempt.stop_reason is not None
        title = self._titles.get(attempt.workload_id)
        name = title.name if title is not None else ""
        return ReturnedView(
            *(back.at, back.attempt_id, attempt.workload_id, name, attempt.stop_reason.value),
            unit=unit_label(back.unit),
            quantity=back.amount,
            shown=quantity_text(back.amount, back.unit),
            hours_back_ms=back.amount if back.unit == STANDARD_GPU else 0,
        )


@dataclass(frozen=True, slots=True)
class _Ran:
    """What a line says of the attempt behind it: nothing, where there is none."""

    workload_id: str = ""
    owner: str = ""
    team: str = ""
    pool: str = ""
    gpu_class: str = ""
    gpus: int = 0
    weight: int = 0
    class_factor: int = 0


def _ran(attempt: Attempt | None, at: Instant) -> _Ran:
    """With the GPUs that it had at that instant."""
    if attempt is None:
        return _Ran()
    return _Ran(
        attempt.workload_id,
        attempt.owner,
        attempt.team,
        attempt.pool,
        attempt.gpu_class,
        pods_at(attempt, at) * attempt.pod.gpus,
        attempt.weight,
        attempt.class_factor,
    )


_VALUED = {TransactionKind.CHARGE, TransactionKind.REFUND, TransactionKind.CORRECTION}


def _prices(worth: LineWorth | None) -> tuple[PriceView, ...]:
    if worth is None:
        return ()
    return tuple(
        PriceView(price, is_off_peak, gpu_ms)
        for (price, is_off_peak), gpu_ms in sorted(worth.gpu_ms_at.items())
        if gpu_ms
    )
