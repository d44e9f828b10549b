"""A period for the general ledger: what was recharged to which team, and what electricity and hardware cost."""

from scheduler.domain.money import Micro
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant
from scheduler.finance.general_ledger import GlAccounts, GlJournal, Recharge, gl_journal
from scheduler.finance.prices.postings import plainly_priced
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.finance.prices.valuation import electricity_micro
from scheduler.ledger.journal import TransactionKind
from scheduler.lifecycle.accounting.valued import valued_beside
from scheduler.lifecycle.memory.world import World
from scheduler.ports import Books


def gl_view(books: Books, world: World, book: PriceBook, period: Period, now: Instant) -> GlJournal:
    """Raises NotFound (`price-missing`). Money corrections of nobody's attempt are the platform's."""
    rating, accounts = Rating(book), GlAccounts()
    recharge = _recharged(books, rating, period)
    actual: dict[str, Micro] = {}
    hours = books.samples.energy_between(period.starts_at, period.ends_at)
    electricity = electricity_micro(rating, hours)
    if electricity is not None and hours:
        actual[accounts.electricity] = electricity
    written_off = _written_off(world, book, period, now)
    if written_off:
        actual[accounts.depreciation] = written_off
    return gl_journal(period, book.currency, recharge, actual, accounts)


def _recharged(books: Books, rating: Rating, period: Period) -> Recharge:
    """Nearly all of a period are charges at one price each, which need no attempt."""
    recharge = Recharge()
    left: list[int] = []
    used = books.journal.used(starts_at=period.starts_at, ends_at=period.ends_at)
    for each, _, micro in plainly_priced(rating, used, left):
        recharge.charged[each.team] += micro
    for item in valued_beside(books, rating, period, left):
        is_charge = item.posting.kind is TransactionKind.CHARGE and not item.posting.is_correction
        (recharge.charged if is_charge else recharge.corrected)[item.team] += item.worth.micro
    return recharge


def _written_off(world: World, book: PriceBook, period: Period, now: Instant) -> Micro:
    """Every GPU of the cluster as it is now, used or not, for the hours of the period that have passed."""
    gpus: dict[GpuClassName, int] = {}
    for node in list(world.nodes.values()):
        if node.gpu_class is not None:
            gpus[node.gpu_class] = gpus.get(node.gpu_class, 0) + node.gpus
    total = 0
    for gpu_class, count in gpus.items():
        for item in book.hardware:
            if item.gpu_class == gpu_class:
                ends_at = min(period.ends_at, now, item.ends_at if item.ends_at is not None else now)
                spent_ms = max(0, ends_at - max(period.starts_at, item.starts_at))
                total += count * spent_ms * item.micro_per_hour // MS_PER_HOUR
    return Micro(total)
