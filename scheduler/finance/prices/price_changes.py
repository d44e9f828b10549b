"""What differs between two price books, for whoever approves the later one: each price with its first day. Pure."""

from collections.abc import Iterable, Iterator

from scheduler.domain.money import decimal_text
from scheduler.domain.policy_changes import PolicyChange
from scheduler.domain.units import Instant
from scheduler.finance.prices.price_book import PriceBook, UnitPrice


def price_changes(before: PriceBook, after: PriceBook) -> tuple[PolicyChange, ...]:
    """Every difference in meaning, by what it is of. None is what is not there before or after."""
    old, new = dict(_terms(before)), dict(_terms(after))
    return tuple(
        PolicyChange(path, old.get(path), new.get(path), "what hours cost")
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    )


def _terms(book: PriceBook) -> Iterator[tuple[str, str]]:
    yield "currency", book.currency
    yield "time_zone", book.time_zone
    hours, days = sorted(book.off_peak.hours), sorted(book.off_peak.weekdays)
    yield "off_peak", f"hours {_listed(hours)}; days {_listed(day + 1 for day in days)} (Monday is 1)"
    for rate in book.rates:
        cheap = "" if rate.off_peak is None else f", off-peak {_priced(rate.off_peak)}"
        path = f"rates.{rate.gpu_class}{f'.{rate.pool}' if rate.pool else ''} from {book.day_of(rate.starts_at)}"
        yield path, _priced(rate.peak) + cheap + _until(book, rate.ends_at)
    for item in book.token_rates:
        path = f"tokens.{item.model or 'every model'} from {book.day_of(item.starts_at)}"
        yield path, _priced(item.price) + _until(book, item.ends_at)
    for tariff in book.tariffs:
        is_flat = len(set(tariff.micro_per_kwh)) == 1
        by_hour = tariff.micro_per_kwh[:1] if is_flat else tariff.micro_per_kwh
        told = ", ".join(decimal_text(micro, least=2) for micro in by_hour)
        path = f"electricity from {book.day_of(tariff.starts_at)}"
        yield path, f"{told}, PUE {decimal_text(tariff.pue, 3)}" + _until(book, tariff.ends_at)
    for bought in book.hardware:
        cost = f"{decimal_text(bought.micro_per_gpu, least=2)} over {bought.life_hours} h"
        path = f"hardware.{bought.gpu_class} from {book.day_of(bought.starts_at)}"
        yield path, cost + _until(book, bought.ends_at)


def _priced(price: UnitPrice) -> str:
    """List, contracted and effective."""
    return " / ".join(decimal_text(micro, least=2) for micro in (price.list, price.contracted, price.effective))


def _until(book: PriceBook, ends_at: Instant | None) -> str:
    return "" if ends_at is None else f", until {book.day_of(ends_at)}"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"
