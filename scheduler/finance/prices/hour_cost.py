"""The cost of an hour of one GPU, in its parts: electricity as measured, hardware as written off, and the rest."""

from dataclasses import dataclass

from scheduler.domain.money import Currency, Micro
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant, PoolName
from scheduler.finance.prices.price_book import PriceBook, unpriced
from scheduler.finance.prices.rating import Rating
from scheduler.finance.prices.valuation import MILLIJOULES_PER_KWH


@dataclass(frozen=True, slots=True)
class HourCost:
    """Micro-units per GPU-hour. `electricity_micro` is None where nothing was measured or no tariff holds,
    `hardware_micro` where the book has none; `rest_micro` is what the effective price has left over the known parts:
    people, space and network, or, below zero, what is not recovered. `milliwatts` is the measured mean of one GPU."""

    gpu_class: str
    pool: str
    at: Instant
    currency: Currency
    is_off_peak: bool
    list_micro: Micro
    contracted_micro: Micro
    effective_micro: Micro
    milliwatts: int | None
    kwh_price_micro: Micro | None
    electricity_micro: Micro | None
    hardware_micro: Micro | None
    rest_micro: Micro


def hour_cost(
    book: PriceBook, gpu_class: GpuClassName, pool: PoolName, at: Instant, milliwatts: int | None
) -> HourCost:
    """Raises NotFound (`price-missing`)."""
    price = Rating(book).price_at(gpu_class, pool, at)
    if price is None:
        raise unpriced(gpu_class, pool, at)
    per_kwh = book.micro_per_kwh(at)
    hardware = book.hardware_at(gpu_class, at)
    electricity = None
    if milliwatts is not None and per_kwh is not None:
        electricity = Micro(milliwatts * (MS_PER_HOUR // 1_000) * per_kwh // MILLIJOULES_PER_KWH)
    written_off = hardware.micro_per_hour if hardware is not None else None
    return HourCost(
        gpu_class=gpu_class,
        pool=pool,
        at=at,
        currency=book.currency,
        is_off_peak=price.is_off_peak,
        list_micro=price.unit.list,
        contracted_micro=price.unit.contracted,
        effective_micro=price.unit.effective,
        milliwatts=milliwatts,
        kwh_price_micro=per_kwh,
        electricity_micro=electricity,
        hardware_micro=written_off,
        rest_micro=Micro(price.unit.effective - (electricity or 0) - (written_off or 0)),
    )
