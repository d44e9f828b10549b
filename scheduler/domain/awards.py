"""Awards as they are asked for, before they are in the books."""

from dataclasses import dataclass

from scheduler.domain.allowances import AllowanceSource, Holder, Purpose
from scheduler.domain.units import STANDARD_GPU, GpuClassName, Instant, Unit


@dataclass(frozen=True, slots=True)
class Award:
    """What somebody asks to grant. `amount` in the unit's smallest part; `purposes` None: what the source implies."""

    holder: Holder
    amount: int
    source: AllowanceSource = AllowanceSource.AD_HOC
    expires_at: Instant | None = None
    gpu_classes: frozenset[GpuClassName] | None = None
    purposes: frozenset[Purpose] | None = None
    reason: str = ""
    unit: Unit = STANDARD_GPU


@dataclass(frozen=True, slots=True)
class PeriodGrant:
    """What policy grants per period in a unit that is not standard hours. `rollover_cap` in that unit; None: no cap."""

    unit: Unit
    amount: int
    rollover_cap: int | None = None
