"""A period for the general ledger: what was recharged to which team, and what electricity and hardware cost."""

from scheduler.domain.money import Micro
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.finance.general_ledger import GlAccounts, GlJournal, Recharge, gl_journal
from scheduler.finance.prices.postings import plainly_priced
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.finance.prices.valuation import electricity_micro
from scheduler.ledger.journal import TransactionKind
from scheduler.lifecycle.accounting.valued import valued_beside
from scheduler.ports import Books


def gl_view(books: Books, book: PriceBook, period: Period, now: Instant) -> GlJournal:
    """Raises NotFound (`price-missing`). Money corrections of nobody's attempt are the platform's."""
    rating, accounts = Rating(book), GlAccounts()
    recharge = _recharged(books, rating, period)
    actual: dict[str, Micro] = {}
    hours = books.samples.energy_between(period.starts_at, period.ends_at)
    electricity = electricity_micro(rating, hours)
    if electricity is not None and hours:
        actual[accounts.electricity] = electricity
    written_off = _written_off(books, book, period, now)
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
