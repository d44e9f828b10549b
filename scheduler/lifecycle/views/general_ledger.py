"""A period for the general ledger: what was recharged to which team, and what electricity and hardware cost."""

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.money import Micro
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, EngineerId, Instant, ProjectName
from scheduler.finance.general_ledger import GlAccounts, GlJournal, Recharge, gl_journal
from scheduler.finance.prices.postings import plainly_priced
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.finance.prices.valuation import electricity_micro
from scheduler.ledger.journal import AccountKind, TransactionKind
from scheduler.lifecycle.accounting.valued import valued_beside
from scheduler.lifecycle.memory.world import World
from scheduler.ports import Books


def gl_view(books: Books, world: World, book: PriceBook, period: Period, now: Instant) -> GlJournal:
    """Raises NotFound (`price-missing`). A correction of money is of the team that is the payer's today."""
    rating, accounts = Rating(book), GlAccounts()
    recharge = _recharged(books, world, rating, period)
    actual: dict[str, Micro] = {}
    hours = books.samples.energy_between(period.starts_at, period.ends_at)
    electricity = electricity_micro(rating, hours)
    if electricity is not None and hours:
        actual[accounts.electricity] = electricity
    written_off = _written_off(books, book, period, now)
    if written_off:
        actual[accounts.depreciation] = written_off
    return gl_journal(period, book.currency, recharge, actual, accounts)


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


def _written_off(books: Books, book: PriceBook, period: Period, now: Instant) -> Micro:
    """Every GPU that a node had, used or not, for as long as it had it: exact products, floored once. What the cluster
    is today changes nothing of a period that is over."""
    exact = 0
    for begins, ends, standing in book.standing_over(
        period.starts_at, max(period.starts_at, min(period.ends_at, now))
    ):
        for span in books.capacity.spans(begins, ends):
            for item in standing.hardware:
                if item.gpu_class == span.gpu_class:
                    since = max(begins, span.starts_at, item.starts_at)
                    until = min(at for at in (ends, span.ends_at, item.ends_at) if at is not None)
                    exact += span.gpus * max(0, until - since) * item.micro_per_hour
    return Micro(exact // MS_PER_HOUR)
