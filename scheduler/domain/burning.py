"""From when on use is told of: a day that jumped, and hours that are nearly used up."""

from dataclasses import dataclass, replace

from scheduler.domain.quantities import UnitKind, measure
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, PerMille, Unit


@dataclass(frozen=True, slots=True)
class BurnTerms:
    """A day jumps when its use is above `jump_factor` × the median of the days before and above `jump_floor`, in
    standard GPU-milliseconds. That hours run out is told `warn_ms` ahead (0: never)."""

    jump_factor: PerMille = PerMille(3000)
    jump_floor: int = 24 * MS_PER_HOUR
    warn_ms: int = 7 * MS_PER_DAY


def terms_in(unit: Unit, terms: BurnTerms) -> BurnTerms:
    """The same of another unit: the floor is GPU time, and tokens and money have none."""
    is_time = measure(unit).kind in {UnitKind.STANDARD, UnitKind.GPU_CLASS}
    return terms if is_time else replace(terms, jump_floor=0)
