"""What an hour costs: the price book, and what was measured in that hour."""

from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant, PoolName
from scheduler.finance.prices.hour_cost import HourCost, hour_cost
from scheduler.finance.prices.price_book import PriceBook
from scheduler.metering.use import total
from scheduler.ports import Books


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
