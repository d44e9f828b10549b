"""What an hour costs: the price book, and what was measured in that hour."""

from dataclasses import dataclass, fields

from scheduler.domain.policy import Policy
from scheduler.domain.records import PriceBookVersion
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant, PoolName
from scheduler.finance.prices.hour_cost import HourCost, hour_cost
from scheduler.finance.prices.price_book import PriceBook
from scheduler.metering.use import total
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class AppliedPrices(PriceBookVersion):
    """A price book as it came into force. `unpriced` are the policy's GPU classes that it has no rate of: where there are
    hours of theirs, exports are refused and sums have no cost. `unknown` are the classes and pools that it prices and the
    policy has not: `pool evla` is no price of evals."""

    unpriced: tuple[GpuClassName, ...] = ()
    unknown: tuple[str, ...] = ()


def applied_prices(version: PriceBookVersion, book: PriceBook, policy: Policy | None, by: str) -> AppliedPrices:
    known = set() if policy is None else set(policy.gpu_classes)
    kept = {field.name: getattr(version, field.name) for field in fields(version)}
    unpriced = tuple(sorted(known - {rate.gpu_class for rate in book.rates}))
    pools = set() if policy is None else set(policy.pools)
    named = {f"GPU class {rate.gpu_class}": rate.gpu_class in known for rate in book.rates}
    named |= {f"pool {rate.pool}": rate.pool in pools for rate in book.rates if rate.pool is not None}
    unknown = tuple(sorted(name for name, is_known in named.items() if not is_known)) if policy is not None else ()
    return AppliedPrices(**{**kept, "applied_by": by}, unpriced=unpriced, unknown=unknown)


def hour_cost_view(books: Books, book: PriceBook, gpu_class: GpuClassName, pool: PoolName, at: Instant) -> HourCost:
    """The hour that contains `at`: its energy is what the attempts of that class and pool were measured to draw."""
    hour = Instant(at - at % MS_PER_HOUR)
    read = books.samples.hours(starts_at=hour, ends_at=Instant(hour + MS_PER_HOUR))
    attempts = books.attempts.many(sorted({item.attempt_id for item in read if item.attempt_id is not None}))
    use = total(
        item.use
        for item in read
        if item.attempt_id is not None
        and (attempt := attempts.get(item.attempt_id)) is not None
        and attempt.gpu_class == gpu_class
        and attempt.pool == pool
    )
    return hour_cost(book, gpu_class, pool, hour, use.mean_milliwatts)
