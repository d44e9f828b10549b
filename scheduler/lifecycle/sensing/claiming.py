"""Claiming: which devices of an inventory are a node's from now on, and how many there may be."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.metering.admission import PAST_MS_MAX
from scheduler.metering.devices import Device, Inventory, KnownGpu
from scheduler.ports import Books

DEVICES_KNOWN_MAX = 4_096
"""Of one node, that told of anything within PAST_MS_MAX: eight GPUs cut into seven each, made anew under other names
twice a day, come to 3,472. A node that makes devices up fills no table."""

TOO_MANY_GPUS = "too-many-gpus"
NO_ROOM = f"{DEVICES_KNOWN_MAX:,} of this node are known already"


def without_room(
    books: Books, told: Inventory, known: Mapping[GpuUuid, KnownGpu], now: Instant
) -> tuple[GpuUuid, ...]:
    """Those that the books do not know yet, and have no room for."""
    new = [device.gpu_uuid for device in told.devices if device.gpu_uuid not in known]
    if not new:
        return ()
    present = [device.gpu_uuid for device in told.devices]
    since = Instant(now - PAST_MS_MAX)
    room = DEVICES_KNOWN_MAX - books.samples.count_gpus(told.node, since)
    if room < len(new):
        books.samples.forget_silent_gpus(told.node, present)
        room = DEVICES_KNOWN_MAX - books.samples.count_gpus(told.node, since)
    return tuple(sorted(new)[max(0, room) :])


def claimed(devices: Sequence[Device], known: Mapping[GpuUuid, KnownGpu], node: NodeName) -> list[KnownGpu]:
    """Devices that are new here, or told of otherwise than before."""
    found = []
    for device in devices:
        before = known.get(device.gpu_uuid, KnownGpu(device.gpu_uuid, None))
        after = replace(before, node=node, model=device.model)
        if after != before:
            found.append(after)
    return found
