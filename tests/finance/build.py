"""A price book, and attempts and postings of it, with what a test cares about and the rest plain."""

from datetime import UTC, datetime

from scheduler.domain.money import Currency, Micro
from scheduler.domain.periods import to_instant
from scheduler.domain.units import GpuClassName, Instant, PerMille, PoolName
from scheduler.finance.prices.price_book import Billing, Hardware, OffPeak, PriceBook, Rate, Tariff, UnitPrice

H100 = GpuClassName("h100")
RESEARCH = PoolName("research")
NEVER = OffPeak()
BILLING = Billing("acme", "Acme", "Acme", "Acme", "Acme")


def at(text: str) -> Instant:
    """An instant from `2026-10-01T22:00` in UTC."""
    return to_instant(datetime.fromisoformat(text).replace(tzinfo=UTC))


def price(effective: str | int, list_price: int | None = None, contracted: int | None = None) -> UnitPrice:
    micro = round(float(effective) * 1_000_000) if isinstance(effective, str) else effective
    return UnitPrice(
        Micro(micro if list_price is None else list_price),
        Micro(micro if contracted is None else contracted),
        Micro(micro),
    )


def rate(
    start: str, end: str | None, effective: str, *, pool: str | None = None, off_peak: str | None = None
) -> Rate:
    return Rate(
        H100,
        None if pool is None else PoolName(pool),
        at(start),
        None if end is None else at(end),
        price(effective),
        None if off_peak is None else price(off_peak),
    )


def book(
    *rates: Rate,
    off_peak: OffPeak = NEVER,
    time_zone: str = "UTC",
    tariffs: tuple[Tariff, ...] = (),
    hardware: tuple[Hardware, ...] = (),
) -> PriceBook:
    return PriceBook(
        name="prices.yaml",
        hash="0" * 64,
        currency=Currency("EUR"),
        time_zone=time_zone,
        rates=rates or (rate("2026-01-01", None, "2.50"),),
        billing=BILLING,
        off_peak=off_peak,
        tariffs=tariffs,
        hardware=hardware,
    )


def tariff(per_kwh: tuple[int, ...], pue: int = 1000) -> Tariff:
    return Tariff(at("2026-01-01"), None, tuple(map(Micro, per_kwh)), PerMille(pue))


def hardware(price_of_a_gpu: str, life_hours: int) -> Hardware:
    return Hardware(H100, at("2026-01-01"), None, Micro(round(float(price_of_a_gpu) * 1_000_000)), life_hours)
