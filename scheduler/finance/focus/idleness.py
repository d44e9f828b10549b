"""Which part of a charge was held and not used: the share of each hour in which the GPU was seen to rest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from scheduler.domain.units import MS_PER_HOUR, GpuUuid, Instant
from scheduler.metering.use import HourOfUse


@dataclass(slots=True)
class GpuRest:
    """Of one GPU, or of all GPUs of an attempt together: (resting, told) milliseconds by hour."""

    by_hour: dict[Instant, tuple[int, int]] = field(default_factory=dict)

    def add(self, hour: HourOfUse) -> None:
        rested, told = self.by_hour.get(hour.hour, (0, 0))
        self.by_hour[hour.hour] = (rested + hour.use.idle_held_ms, told + hour.use.told_ms)

    def unused(self, gpu_ms: int, start: Instant, end: Instant) -> int:
        """How much of `gpu_ms`, spread evenly over [start, end), was held and not used. What nobody read was used."""
        unused = placed = 0
        hour = start - start % MS_PER_HOUR
        while hour < end:
            until = gpu_ms * (min(end, hour + MS_PER_HOUR) - start) // (end - start)
            rested, told = self.by_hour.get(Instant(hour), (0, 0))
            unused += (until - placed) * rested // told if told else 0
            placed = until
            hour += MS_PER_HOUR
        return unused


def rest_by_gpu(hours: Iterable[HourOfUse], gpus: int) -> Mapping[GpuUuid | None, GpuRest]:
    """By GPU where as many were seen as the attempt has; else all together, under None."""
    by_gpu: dict[GpuUuid | None, GpuRest] = {}
    together = GpuRest()
    for hour in hours:
        by_gpu.setdefault(hour.gpu_uuid, GpuRest()).add(hour)
        together.add(hour)
    return dict(sorted(by_gpu.items(), key=lambda item: str(item[0]))) if len(by_gpu) == gpus else {None: together}
