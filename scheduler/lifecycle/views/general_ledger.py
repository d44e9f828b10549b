"""A period for the general ledger: what was recharged to which team, and what electricity and hardware cost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.money import Micro, decimal_text
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, EngineerId, GpuClassName, Instant, ProjectName
from scheduler.finance.general_ledger import GlAccounts, GlJournal, Recharge, UnknownCost, gl_journal
from scheduler.finance.prices.postings import plainly_priced
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.finance.prices.valuation import MILLIJOULES_PER_KWH, Electricity, electricity_of
from scheduler.ledger.journal import AccountKind, TransactionKind
from scheduler.lifecycle.accounting.valued import valued_beside
from scheduler.lifecycle.memory.world import World
from scheduler.ports import Books


def gl_view(books: Books, world: World, book: PriceBook, period: Period, now: Instant) -> GlJournal:
    """Raises NotFound (`price-missing`). A correction of money is of the team that is the payer's today."""
    rating, accounts = Rating(book), GlAccounts()
    recharge = _recharged(books, world, rating, period)
    electricity = electricity_of(rating, books.samples.energy_between(period.starts_at, period.ends_at))
    written_off = _written_off(books, book, period, now)
    actual = {accounts.electricity: electricity.micro, accounts.depreciation: written_off.micro}
    unknown = [
        *_without_tariff(book, electricity, period, accounts),
        *(
            UnknownCost(accounts.depreciation, since, f"{_hours(gpu_ms)} GPU-hours of {name} have no hardware")
            for name, (since, gpu_ms) in sorted(written_off.unpriced.items())
        ),
    ]
    return gl_journal(period, book.currency, recharge, actual, accounts, unknown)


def _without_tariff(
    book: PriceBook, found: Electricity, period: Period, accounts: GlAccounts
) -> Iterator[UnknownCost]:
    """Energy in hours without one; and where none was measured, that a book has no electricity at all."""
    if found.unpriced_from is not None:
        kwh = decimal_text(found.unpriced_millijoules * 1_000 // MILLIJOULES_PER_KWH, 3, least=1)
        yield UnknownCost(accounts.electricity, found.unpriced_from, f"{kwh} kWh have no tariff")
    elif not book.standing_at(period.starts_at).tariffs:
        yield UnknownCost(accounts.electricity, period.starts_at, "the price book has no electricity")


def _hours(gpu_ms: int) -> str:
    return decimal_text(gpu_ms * 10 // MS_PER_HOUR, 1, least=1)


def _recharged(books: Books, world: World, rating: Rating, period: Period) -> Recharge:
    """Nearly all of a period are charges at one price each, which need no attempt."""
    recharge = Recharge()
    left: list[int] = []
    used = books.journal.used(starts_at=period.starts_at, ends_at=period.ends_at)
    for each, _, micro in plainly_priced(rating, used, left):
        recharge.charged[each.team] += micro
    for item in valued_beside(books, rating, period, left):
        is_charge = item.posting.kind is TransactionKind.CHARGE and not item.posting.is_correction
        team = item.team if item.posting.money is None else _team_of(books, world, item.posting.payer)
        (recharge.charged if is_charge else recharge.corrected)[team] += item.worth.micro
    return recharge


def _team_of(books: Books, world: World, payer: str) -> str:
    """Whose the payer is, an allowance or what an engineer owes: as statements have it. Empty where nobody knows."""
    kind, _, owed_by = payer.partition("/")
    known = None if kind == AccountKind.OVERRUN.value else books.allowances.get(AllowanceId(payer))
    if known is None:
        return _team_of_holder(world, Holder(HolderKind.ENGINEER, owed_by))
    return _team_of_holder(world, known.allowance.holder)


def _team_of_holder(world: World, holder: Holder) -> str:
    if holder.kind is HolderKind.TEAM:
        return holder.id
    if holder.kind is HolderKind.PROJECT:
        project = world.require_policy().projects.get(ProjectName(holder.id))
        return "" if project is None else project.team
    person = world.people.get(EngineerId(holder.id))
    return "" if person is None else person.team


@dataclass(frozen=True, slots=True)
class _WrittenOff:
    """By class, since when and how much GPU time no hardware of the book covers."""

    micro: Micro
    unpriced: Mapping[GpuClassName, tuple[Instant, int]]


def _written_off(books: Books, book: PriceBook, period: Period, now: Instant) -> _WrittenOff:
    """Every GPU that a node had, used or not, for as long as it had it: exact products, floored once. What the cluster
    is today changes nothing of a period that is over."""
    exact = 0
    unpriced: dict[GpuClassName, tuple[Instant, int]] = {}
    for begins, ends, standing in book.standing_over(
        period.starts_at, max(period.starts_at, min(period.ends_at, now))
    ):
        for span in books.capacity.spans(begins, ends):
            since, until = max(begins, span.starts_at), ends if span.ends_at is None else min(ends, span.ends_at)
            open_from = since
            left = max(0, until - since)
            for item in sorted(standing.hardware, key=lambda each: each.starts_at):
                if item.gpu_class == span.gpu_class:
                    first, last = (
                        max(since, item.starts_at),
                        until if item.ends_at is None else min(until, item.ends_at),
                    )
                    exact += span.gpus * max(0, last - first) * item.micro_per_hour
                    left -= max(0, last - first)
                    open_from = last if first <= open_from < last else open_from
            if left > 0 and span.gpus and span.gpu_class is not None:
                known = unpriced.get(span.gpu_class, (open_from, 0))
                unpriced[span.gpu_class] = (min(known[0], open_from), known[1] + span.gpus * left)
    return _WrittenOff(Micro(exact // MS_PER_HOUR), unpriced)
