"""The curve of an attempt: what its devices read over time, in few enough points to be drawn and kept."""

from collections.abc import Iterable, Sequence

from scheduler.domain.idleness import CurvePoint
from scheduler.domain.units import Instant
from scheduler.metering.spells import merge
from scheduler.metering.use import Stretch, total


def curve_of(
    stretches: Iterable[Stretch], starts_at: Instant, ends_at: Instant, points: int
) -> tuple[CurvePoint, ...]:
    """The stretches that begin within [starts_at, ends_at), in at most so many equal parts; parts without any are left
    out. A part ends where the last of its stretches does."""
    if ends_at <= starts_at:
        return ()
    step_ms = -(-(ends_at - starts_at) // points)
    parts: dict[int, list[Stretch]] = {}
    for stretch in stretches:
        if starts_at <= stretch.start < ends_at:
            parts.setdefault((stretch.start - starts_at) // step_ms, []).append(stretch)
    return tuple(_point(parts[number]) for number in sorted(parts))


def _point(stretches: Sequence[Stretch]) -> CurvePoint:
    use = total(stretch.use for stretch in stretches)
    devices: dict[str, list[Stretch]] = {}
    for stretch in stretches:
        devices.setdefault(stretch.gpu_uuid, []).append(stretch)
    watts = [total(s.use for s in of_device).mean_milliwatts for of_device in devices.values()]
    read = [milliwatts for milliwatts in watts if milliwatts is not None]
    return CurvePoint(
        start=min(stretch.start for stretch in stretches),
        end=max(stretch.end for stretch in stretches),
        state=merge({stretch.state for stretch in stretches}).value,
        utilization_permille=use.utilization_permille,
        percent_max=use.percent_max,
        milliwatts=sum(read) if len(read) == len(devices) else None,
        cpu_millicores_max=use.cpu_millicores_max,
    )
