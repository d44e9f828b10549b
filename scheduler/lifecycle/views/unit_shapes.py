"""What a statement says of allowances that are in other units than standard GPU time."""

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.domain.units import Instant


@dataclass(frozen=True, slots=True)
class UnitLine:
    """`quantity` is signed, in the unit's smallest part; `text` says what happened, `shown` how much."""

    at: Instant
    kind: str
    text: str
    quantity: int
    shown: str


@dataclass(frozen=True, slots=True)
class UnitView:
    """A statement's sums in a unit that is not standard GPU time: by name, exact and in words."""

    unit: str
    quantities: Mapping[str, int]
    shown: Mapping[str, str]
    lines: tuple[UnitLine, ...]
