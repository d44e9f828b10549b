"""From when on use is told of: a day that jumped, and hours that are nearly used up."""

from dataclasses import dataclass

from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, PerMille


@dataclass(frozen=True, slots=True)
class BurnTerms:
    """A day jumps when its use is above `jump_factor` × the median of the days before and above `jump_floor`, in
    standard GPU-milliseconds. That hours run out is told `warn_ms` ahead (0: never)."""

    jump_factor: PerMille = PerMille(3000)
    jump_floor: int = 24 * MS_PER_HOUR
    warn_ms: int = 7 * MS_PER_DAY
