"""Fair value: what an allowance would cost at the list price of an instant, and what that rests on.

Standard hours are valued on the GPU class whose weight is nearest to one, among those that they may be spent on and that
have a price; hours of a class at that class's price; money is itself; tokens at their model's price, those of any model
at the price of every model. The list price is that of the day, not of its off-peak hours; it is rounded down, once.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from scheduler.domain.money import Currency, Micro
from scheduler.domain.periods import iso
from scheduler.domain.quantities import UnitKind, measure
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant, PerMille, PoolName, Unit
from scheduler.finance.prices.price_book import FREE_TOKENS, PriceBook
from scheduler.finance.prices.rating import tokens_micro

_WHOLE_WEIGHT = 1_000
_EVERY_POOL = PoolName("")


@dataclass(frozen=True, slots=True)
class FairValue:
    """`value_micro` None where there is no price, with `basis` saying why; else what it rests on."""

    at: Instant
    value_micro: Micro | None
    currency: Currency | None
    basis: str


def fair_value(
    book: PriceBook | None,
    unit: Unit,
    amount: int,
    weights: Mapping[GpuClassName, PerMille],
    at: Instant,
    *,
    only: Collection[GpuClassName] | None = None,
) -> FairValue:
    """The value of `amount` at that instant. `weights` are those of the policy's GPU classes, `only` those allowed."""
    if book is None:
        return FairValue(at, None, None, "there is no price book")
    currency, counted = book.currency, measure(unit)
    if counted.kind is UnitKind.TOKENS:
        return _of_tokens(book, counted.of, amount, at)
    if counted.kind is UnitKind.MONEY:
        return FairValue(at, Micro(amount), currency, "money at the price of the day")
    classes = [GpuClassName(counted.of)] if counted.kind is UnitKind.GPU_CLASS else _by_weight(weights, only)
    for gpu_class in classes:
        rate = book.standing_at(at).rate_at(gpu_class, _EVERY_POOL, at)
        weight = _WHOLE_WEIGHT if counted.kind is UnitKind.GPU_CLASS else weights[gpu_class]
        if rate is not None and weight > 0:
            value = amount * rate.peak.list * _WHOLE_WEIGHT // (MS_PER_HOUR * weight)
            return FairValue(at, Micro(value), currency, f"list price of {gpu_class} on {iso(at)[:10]}, {book.name}")
    return FairValue(at, None, currency, f"no price of {' or '.join(classes) or 'any class'} on {iso(at)[:10]}")


def _of_tokens(book: PriceBook, model: str, amount: int, at: Instant) -> FairValue:
    what = f"tokens of {model or 'any model'}"
    rate = book.standing_at(at).token_rate_at(model, at)
    if rate is None or rate is FREE_TOKENS:
        return FairValue(at, None, book.currency, f"no price of {what} on {iso(at)[:10]}")
    value = tokens_micro(amount, rate.price.list)
    return FairValue(at, value, book.currency, f"list price of {what} on {iso(at)[:10]}, {book.name}")


def _by_weight(weights: Mapping[GpuClassName, PerMille], only: Collection[GpuClassName] | None) -> list[GpuClassName]:
    allowed = [name for name in weights if only is None or name in only]
    return sorted(allowed, key=lambda name: (abs(weights[name] - _WHOLE_WEIGHT), name))
