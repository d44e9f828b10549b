"""Prices ahead: the highest that the price book has for each class and pool in the time that work may run for.

An allowance of money is held at these, so that what starts can finish, and charged at the prices in force.
"""

from dataclasses import dataclass, field

from scheduler.domain.policy import Policy
from scheduler.domain.quantities import money_unit
from scheduler.domain.terms import Prices, Terms
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant, PoolName, TeamName
from scheduler.domain.workloads import Attempt, WorkloadSpec
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.prices.rating import Rating


@dataclass(eq=False)
class PricesAhead:
    """Remembered until the book, the policy or the hour is another."""

    prices: Prices | None = None
    _rating: Rating | None = None
    _known: tuple[PriceBook, Policy, int] | None = field(default=None, repr=False)

    def renew(self, book: PriceBook | None, policy: Policy | None, now: Instant) -> bool:
        """Look at the time ahead. Whether a price is another than before."""
        if book is None or policy is None:
            return False
        known, hour = self._known, now // MS_PER_HOUR
        if known is not None and known[0] is book and known[1] is policy and known[2] == hour:
            return False
        self._known = (book, policy, hour)
        found = prices_ahead(book, policy, now)
        is_another, self.prices = found != self.prices, found
        return is_another

    def rating(self, book: PriceBook) -> Rating:
        """The book, as one that is asked often."""
        if self._rating is None or self._rating.book is not book:
            self._rating = Rating(book)
        return self._rating


def prices_ahead(book: PriceBook, policy: Policy, now: Instant) -> Prices:
    """Of the rates that hold now or begin within the longest time limit. A class and pool with a rate of its own is
    bound by that of every pool, too: which of both holds may change within that time."""
    until = now + policy.limits.time_limit_max_ms
    highest: dict[tuple[GpuClassName, PoolName], int] = {}
    for rate in book.rates:
        if rate.starts_at > until or (rate.ends_at is not None and rate.ends_at <= now):
            continue
        price = max(each.effective for each in (rate.peak, rate.off_peak) if each is not None)
        for pool in policy.pools if rate.pool is None else (rate.pool,):
            key = (rate.gpu_class, pool)
            highest[key] = max(price, highest.get(key, 0))
    return Prices(money_unit(book.currency), highest)


def terms_of(attempt: Attempt, prices: Prices | None) -> Terms:
    """What the attempt is charged under, with the highest price that may come."""
    terms = Terms(attempt.gpu_class, attempt.priority_class, attempt.weight, attempt.class_factor)
    return terms.priced(prices, attempt.pool)


def terms_for(
    policy: Policy, prices: Prices | None, spec: WorkloadSpec, gpu_class: GpuClassName, team: TeamName
) -> Terms:
    """What a workload of the team would be charged under on that GPU class; both classes are the policy's."""
    priority_class, pool = policy.priority_classes[spec.priority_class], policy.pool_of_team.get(team)
    weight = policy.gpu_classes[gpu_class].weight
    terms = Terms(gpu_class, priority_class.name, weight, priority_class.class_factor)
    return terms if pool is None else terms.priced(prices, pool.name)
