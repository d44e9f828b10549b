"""Terms: what GPU time costs in each unit that an allowance may be counted in. The rule is ADR 24.

| unit | an hour of one GPU costs | fixed |
|---|---|---|
| standard | weight × class factor | at launch |
| hours of a class | class factor: they are hours of that class, whatever it weighs | at launch |
| money | the price of the class and pool, whoever is in a hurry | at every hour: the price in force |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from scheduler.domain.quantities import UnitKind, measure
from scheduler.domain.units import (
    MS_PER_HOUR,
    STANDARD_GPU,
    GpuClassName,
    PerMille,
    PoolName,
    PriorityClassName,
    Unit,
    standard_needed,
    standard_total,
)
from scheduler.domain.values import value

_PER: Final = {UnitKind.STANDARD: 1_000_000, UnitKind.GPU_CLASS: 1_000, UnitKind.MONEY: MS_PER_HOUR}


@dataclass(frozen=True, slots=True)
class KeptTerms:
    """The weights of GPU classes and the factors of priority classes of the day on which pay was granted: they hold on
    wherever later ones would buy less."""

    weights: tuple[tuple[GpuClassName, PerMille], ...]
    factors: tuple[tuple[PriorityClassName, PerMille], ...]

    def rate(self, gpu_class: GpuClassName, priority_class: PriorityClassName) -> tuple[PerMille, PerMille] | None:
        """Weight and factor of that day; None where there was no such class yet."""
        weight, factor = dict(self.weights).get(gpu_class), dict(self.factors).get(priority_class)
        return None if weight is None or factor is None else (weight, factor)

    def product(self, gpu_class: GpuClassName, priority_class: PriorityClassName) -> int | None:
        """Weight × factor of that day, in millionths; None where there was no such class yet."""
        found = self.rate(gpu_class, priority_class)
        return None if found is None else found[0] * found[1]

    def factor(self, priority_class: PriorityClassName) -> PerMille | None:
        return dict(self.factors).get(priority_class)


@dataclass(frozen=True, slots=True)
class Draw:
    """How a hold is charged that is not in standard time at its attempt's own terms: `rate` units of its own for each
    `per` GPU-milliseconds. Of money that is the highest price that may come; what is charged is the price in force.

    `gpu_ms` is the physical time that it has paid for; `rest` what that cost beyond the amounts charged, in parts of
    which `per` make one: over the holds of an attempt in one unit the rests add up to less than one, so that the total
    is floored once.
    """

    unit: Unit
    rate: int
    gpu_ms: int = 0
    rest: int = 0

    @property
    def per(self) -> int:
        return _PER[measure(self.unit).kind]

    def cost(self, gpu_ms: int) -> int:
        """What must be held for so much physical time: rounded up."""
        return -(-gpu_ms * self.rate // self.per)

    def lasts(self, amount: int, gpu_ms_max: int) -> int:
        """The physical time, up to the bound, that an amount is enough for."""
        return gpu_ms_max if self.rate == 0 else min(gpu_ms_max, amount * self.per // self.rate)

    def plus(self, gpu_ms: int, rest: int) -> "Draw":
        return replace(self, gpu_ms=self.gpu_ms + gpu_ms, rest=self.rest + rest)


@dataclass(frozen=True, slots=True)
class Prices:
    """For each class and pool the highest price, in micro-units a GPU-hour, that the book has for the time ahead."""

    unit: Unit
    highest: Mapping[tuple[GpuClassName, PoolName], int] = field(default_factory=dict)


@value(frozen=True, slots=True)
class Terms:
    """Under which an attempt is charged. `price` is the highest that may come, in `price_unit`; None where the book
    has none."""

    gpu_class: GpuClassName
    priority_class: PriorityClassName
    weight: PerMille
    class_factor: PerMille
    price: int | None = None
    price_unit: Unit | None = None

    def priced(self, prices: Prices | None, pool: PoolName) -> "Terms":
        price = prices.highest.get((self.gpu_class, pool)) if prices is not None else None
        return self if prices is None or price is None else replace(self, price=price, price_unit=prices.unit)

    def draw(self, unit: Unit, kept: KeptTerms | None) -> Draw | None:
        """How an allowance of this unit pays for such an attempt; None where it cannot."""
        if unit == STANDARD_GPU:
            product = self.weight * self.class_factor
            then = kept.product(self.gpu_class, self.priority_class) if kept is not None else None
            return Draw(unit, product if then is None else min(product, then))
        found = measure(unit)
        if found.kind is UnitKind.GPU_CLASS and found.of == self.gpu_class:
            then = kept.factor(self.priority_class) if kept is not None else None
            return Draw(unit, self.class_factor if then is None else min(self.class_factor, then))
        if self.price is not None and unit == self.price_unit:
            return Draw(unit, self.price)
        return None


@value(frozen=True, slots=True)
class Need:
    """What must be held: so much physical GPU time under these terms. `standard` is the same in standard time."""

    gpu_ms: int
    terms: Terms
    standard: int = field(init=False)

    def __post_init__(self) -> None:
        needed = standard_needed(self.gpu_ms, self.terms.weight, self.terms.class_factor)
        object.__setattr__(self, "standard", needed)

    def standard_of(self, gpu_ms: int) -> int:
        """Physical time under these terms in standard time, rounded down."""
        return standard_total(gpu_ms, self.terms.weight, self.terms.class_factor)
