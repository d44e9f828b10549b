"""Advice: what the readings of an attempt suggest for the next time, each with the evidence for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.units import MS_PER_HOUR, GpuMs, GpuUuid, Instant
from scheduler.domain.wording import counted
from scheduler.domain.workloads import Attempt
from scheduler.lifecycle.memory.world import World
from scheduler.metering.use import HourOfUse, Use, total
from scheduler.metering.windows import largest

GIB = 1 << 30
AFTER_MS = MS_PER_HOUR
"""Of one GPU: shorter than this nobody has shown what they need."""

UNREAD_PERMILLE = 10
"""Of a GPU's time, at the most: what is not known for longer may have been work."""


MEMORY_READ_PERMILLE = 950
"""Of the GPU-time, at the least: what a GPU held in the rest is not known. Windows begin after their pod, and come late."""


class AdviceKind(StrEnum):
    UNUSED_GPUS = "unused-gpus"
    SMALLER_GPU = "smaller-gpu"


@dataclass(frozen=True, slots=True)
class Advice:
    """`evidence` are the figures that the sentence rests on."""

    kind: AdviceKind
    sentence: str
    evidence: Mapping[str, int | str]


def advice_for(
    world: World, attempt: Attempt, hours: Sequence[HourOfUse], span: tuple[Instant, Instant]
) -> tuple[Advice, ...]:
    """`hours` are all that was read of the attempt in the span."""
    by_gpu: dict[GpuUuid, list[Use]] = {}
    for hour in hours:
        by_gpu.setdefault(hour.gpu_uuid, []).append(hour.use)
    long_enough = {uuid: use for uuid, uses in by_gpu.items() if (use := total(uses)).told_ms >= AFTER_MS}
    if not long_enough:
        return ()
    held = _memory_held(attempt, hours, span)
    found = (_unused(attempt, long_enough), None if held is None else _smaller(world, attempt, held))
    return tuple(each for each in found if each is not None)


def _unused(attempt: Attempt, uses: Mapping[GpuUuid, Use]) -> Advice | None:
    """Only what was never seen at work, and read all but throughout: an agent that starts anew leaves a window unread."""
    unused = sorted(
        uuid
        for uuid, use in uses.items()
        if use.active_ms + use.hung_ms == 0 and use.unknown_ms * 1_000 <= use.told_ms * UNREAD_PERMILLE
    )
    if not 0 < len(unused) < attempt.gpus:
        return None
    rested_ms = min(uses[uuid].idle_held_ms for uuid in unused)
    return Advice(
        AdviceKind.UNUSED_GPUS,
        f"It asked for {counted(attempt.gpus, 'GPU')}; {counted(len(unused), 'was', 'were')} never used, "
        f"in {rested_ms / MS_PER_HOUR:.1f} h of readings each.",
        {"gpus": attempt.gpus, "unused": len(unused), "rested_ms": rested_ms, "unused_gpus": ", ".join(unused)},
    )


@dataclass(frozen=True, slots=True)
class _MemoryHeld:
    """The most that any of the attempt's GPUs held at once, and for how much GPU-time that was read."""

    bytes_max: int
    read_ms: GpuMs


def _memory_held(attempt: Attempt, hours: Sequence[HourOfUse], span: tuple[Instant, Instant]) -> _MemoryHeld | None:
    """None where some of it was not read: it may have held more in that time, or on the GPUs that nobody read."""
    read = [hour.use for hour in hours if hour.use.memory_bytes_max is not None]
    read_ms = sum(use.covered_ms for use in read)
    starts_at, ends_at = span
    began_at = max(starts_at, attempt.started_at if attempt.started_at is not None else attempt.launched_at)
    over_at = min(ends_at, attempt.ended_at if attempt.ended_at is not None else ends_at)
    gpu_ms = attempt.gpus * (over_at - began_at)
    most = largest(use.memory_bytes_max for use in read)
    is_known = len({hour.gpu_uuid for hour in hours}) >= attempt.gpus
    if most is None or not is_known or read_ms * 1_000 < gpu_ms * MEMORY_READ_PERMILLE:
        return None
    return _MemoryHeld(most, GpuMs(read_ms))


def _smaller(world: World, attempt: Attempt, held: _MemoryHeld) -> Advice | None:
    """By memory: the cheapest GPU class of less weight that would have held a tenth more than was used."""
    policy, used = world.policy, held.bytes_max
    if policy is None:
        return None
    sizes = memory_by_class(world)
    fitting = [
        (gpu_class.weight, str(name), sizes[name])
        for name, gpu_class in policy.gpu_classes.items()
        if name in sizes and gpu_class.weight < attempt.weight and used * 11 // 10 <= sizes[name]
    ]
    if not fitting:
        return None
    weight, name, size = min(fitting)
    return Advice(
        AdviceKind.SMALLER_GPU,
        f"It held at most {used / GIB:.0f} GiB per GPU, in {held.read_ms / MS_PER_HOUR:.1f} GPU-hours of readings: "
        f"{name} ({size / GIB:.0f} GiB, "
        f"weight {weight / 1000:g} instead of {attempt.weight / 1000:g}) would have held it.",
        {
            "memory_bytes_max": used,
            "read_ms": held.read_ms,
            "gpu_class": name,
            "class_memory_bytes": size,
            "class_weight": weight,
            "weight": attempt.weight,
        },
    )


def memory_by_class(world: World) -> Mapping[str, int]:
    """The least memory of any GPU of each class, as agents say."""
    sizes: dict[str, int] = {}
    for node in list(world.nodes.values()):
        inventory = world.readings.inventories.get(node.name)
        if inventory is None or node.gpu_class is None:
            continue
        for device in inventory.devices:
            if device.memory_bytes is not None and device.parent_uuid is None:
                sizes[node.gpu_class] = min(device.memory_bytes, sizes.get(node.gpu_class, device.memory_bytes))
    return sizes
