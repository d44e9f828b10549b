"""What a statement says of packages, of what came back, and of allowances in other units than standard GPU time."""

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.domain.money import Micro
from scheduler.domain.units import Instant
from scheduler.finance.prices.fair_value import FairValue


@dataclass(frozen=True, slots=True)
class UnitLine:
    """`quantity` is signed, in the unit's smallest part; `text` says what happened, `shown` how much. Of what an attempt
    drew, the physical time stands beside it, and what it is worth by the price book; of tokens also what a million
    cost."""

    at: Instant
    kind: str
    text: str
    quantity: int
    shown: str
    attempt_id: str = ""
    workload_id: str = ""
    gpus: int = 0
    gpu_class: str = ""
    gpu_ms: int = 0
    cost_micro: Micro | None = None
    per_million_micro: Micro | None = None
    holder: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class UnitView:
    """A statement's sums in a unit that is not standard GPU time: by name, exact and in words."""

    unit: str
    quantities: Mapping[str, int]
    shown: Mapping[str, str]
    lines: tuple[UnitLine, ...]


@dataclass(frozen=True, slots=True)
class ReturnedView:
    """What of a hold came back because idle reclaim ended the attempt before it had used it; a row for each unit that
    it was held in. `quantity` is in the unit's smallest part, `hours_back_ms` the same in standard hours (0 of others).

    It was held, never charged: it is part of no sum of the statement.
    """

    at: Instant
    attempt_id: str
    workload_id: str
    workload_name: str
    reason: str
    unit: str
    quantity: int
    shown: str
    hours_back_ms: int


@dataclass(frozen=True, slots=True)
class Corrected:
    """Money by which charges of a closed period were corrected, all of the owner's at once; below zero it came back."""

    at: Instant
    text: str
    cost_micro: Micro


@dataclass(frozen=True, slots=True)
class PackageValueView:
    """A package of compensation on its holder's statement: how far it is, and its fair value then and now."""

    allowance_id: str
    kind: str
    total: str
    vested: str
    promised: str
    clawed_back: str
    """Empty where nothing was."""
    next_at: Instant | None
    value_at_grant: FairValue
    value_now: FairValue
    """Of what was not clawed back."""


@dataclass(frozen=True, slots=True)
class GrantValueView:
    """An ad-hoc grant on its holder's statement: what is left of it, and the fair value of all of it then and now."""

    allowance_id: str
    unit: str
    total: str
    left: str
    granted_at: Instant
    expires_at: Instant | None
    value_at_grant: FairValue
    value_now: FairValue
