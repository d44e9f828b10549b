"""How well GPUs were used, from what their windows add up to: always beside what the mean is a mean of.

It never changes a charge. What nobody read has no efficiency: None, and not 0.
"""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.units import MS_PER_HOUR
from scheduler.metering.use import Use

SM_SHARE_PERMILLE = 900
"""Of the time for which use was read at all: where profiling tells of less, its mean is not that of the whole."""


ENERGY_SHARE_PERMILLE = 900
"""Of the time whose state is known: energy read for less of it (no MIG instance has a counter) is not that of the hours at
work, and over them would be too little."""


class Measure(StrEnum):
    SM_ACTIVITY = "sm-activity"
    """The mean share of multiprocessors that were active: GPM, on Hopper and later, and of MIG instances."""
    UTILIZATION = "utilization"
    """The share of the time in which any kernel ran, be it ever so small."""


@dataclass(frozen=True, slots=True)
class Efficiency:
    """`gpu_ms` is the GPU-time that windows tell of, `read_ms` what of it was read, and `active_ms` and `idle_ms` its
    parts at work and at rest. `joules_per_active_gpu_hour` is all energy, that of the rest too, over the hours at work;
    None where too little of it was read. `covered_permille` is `read_ms` as a share of `gpu_ms`."""

    measure: Measure
    mean_permille: int | None
    percent_max: int | None
    gpu_ms: int
    read_ms: int
    active_ms: int
    idle_ms: int
    idle_permille: int | None
    energy_joules: int | None
    joules_per_active_gpu_hour: int | None
    memory_bytes_max: int | None
    covered_permille: int


def efficiency_of(use: Use) -> Efficiency:
    known_ms = use.told_ms - use.unknown_ms
    has_energy = use.energy_ms > 0
    tells_all = use.sm_ms > 0 and use.sm_ms * 1_000 >= use.utilization_ms * SM_SHARE_PERMILLE
    measure = Measure.SM_ACTIVITY if tells_all else Measure.UTILIZATION
    tells_energy = has_energy and use.energy_ms * 1_000 >= known_ms * ENERGY_SHARE_PERMILLE
    per_hour = use.millijoules * (MS_PER_HOUR // 1_000) // use.active_ms if tells_energy and use.active_ms else None
    return Efficiency(
        measure=measure,
        mean_permille=use.sm_permille if measure is Measure.SM_ACTIVITY else use.utilization_permille,
        percent_max=use.percent_max,
        gpu_ms=use.told_ms,
        read_ms=use.covered_ms,
        active_ms=use.active_ms,
        idle_ms=use.idle_held_ms,
        idle_permille=None if known_ms == 0 else use.idle_held_ms * 1_000 // known_ms,
        energy_joules=use.millijoules // 1_000 if has_energy else None,
        joules_per_active_gpu_hour=per_hour,
        memory_bytes_max=use.memory_bytes_max,
        covered_permille=0 if use.told_ms == 0 else use.covered_ms * 1_000 // use.told_ms,
    )
