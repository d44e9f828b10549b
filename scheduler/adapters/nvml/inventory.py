"""Which GPUs and MIG instances the driver knows, with a handle for each.

Handles can be neither compared nor hashed, and a MIG handle may come to mean another instance when the GPU is cut
anew: devices are known by UUID alone, and a MIG handle is looked up again before every use.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pynvml

from scheduler.adapters.nvml.calls import AbsentValue, Asker, DeviceUnhealthy, ask
from scheduler.domain.units import GpuUuid
from scheduler.metering.devices import Device, Health

Handle = Any
"""An opaque pointer of the bindings, which have no types."""

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A device and how to ask about it. `parent` is the whole GPU's handle where the device is a MIG instance."""

    device: Device
    handle: Handle
    parent: Handle | None = None

    def with_handle(self, handle: Handle) -> "Found":
        return replace(self, handle=handle)

    def with_health(self, health: Health) -> "Found":
        return self if health is self.device.health else replace(self, device=replace(self.device, health=health))


@dataclass(frozen=True, slots=True)
class Enumeration:
    """`unidentified`: GPUs that were lost before their UUID was ever read."""

    found: tuple[Found, ...]
    unidentified: int = 0


def enumerate_devices(known: Mapping[int, Found]) -> Enumeration:
    """Every device of the node. A GPU that answers no more keeps the identity it had in `known`, by index."""
    found: list[Found] = []
    unidentified = 0
    for index in range(ask(pynvml.nvmlDeviceGetCount)):
        try:
            whole = _whole_gpu(index)
            found += [whole, *_instances(whole)]
        except (DeviceUnhealthy, AbsentValue):
            before = known.get(index)
            if before is None:
                unidentified += 1
            else:
                found.append(before.with_health(Health.UNHEALTHY))
    return Enumeration(tuple(found), unidentified)


def mig_handle(uuid: GpuUuid) -> Handle:
    """Raises AbsentValue where the instance is not there any more."""
    handle = ask(pynvml.nvmlDeviceGetHandleByUUID, uuid)
    if ask(pynvml.nvmlDeviceGetUUID, handle) != uuid:
        raise AbsentValue("NOT_FOUND")
    return handle


def _whole_gpu(index: int) -> Found:
    handle = ask(pynvml.nvmlDeviceGetHandleByIndex, index)
    asker = Asker()
    pci = asker.value("pci", pynvml.nvmlDeviceGetPciInfo, handle)
    mode = asker.value("mig", pynvml.nvmlDeviceGetMigMode, handle)
    gpm = asker.value("gpm", pynvml.nvmlGpmQueryDeviceSupport, handle)
    device = Device(
        gpu_uuid=GpuUuid(ask(pynvml.nvmlDeviceGetUUID, handle)),
        index=index,
        model=asker.value("name", pynvml.nvmlDeviceGetName, handle),
        memory_bytes=_memory_total(asker, handle),
        pci_bus_id=None if pci is None else _text(pci.busId),
        minor=asker.value("minor", pynvml.nvmlDeviceGetMinorNumber, handle),
        has_profiling=gpm is not None and bool(gpm.isSupportedDevice),
        is_partitioned=mode is not None and mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE,
    )
    return Found(device, handle)


def _memory_total(asker: Asker, handle: Handle) -> int | None:
    memory = asker.value("memory", pynvml.nvmlDeviceGetMemoryInfo, handle)
    return None if memory is None else int(memory.total)


def _instances(whole: Found) -> Iterator[Found]:
    """The MIG instances of a GPU. Holes in their numbering are normal."""
    if not whole.device.is_partitioned:
        return
    for index in range(ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, whole.handle)):
        try:
            handle = ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, whole.handle, index)
            yield Found(_instance(whole.device, handle), handle, parent=whole.handle)
        except AbsentValue:
            continue


def _instance(parent: Device, handle: Handle) -> Device:
    asker = Asker()
    name = asker.value("name", pynvml.nvmlDeviceGetName, handle)
    attributes = asker.value("attributes", pynvml.nvmlDeviceGetAttributes_v2, handle)
    return Device(
        gpu_uuid=GpuUuid(ask(pynvml.nvmlDeviceGetUUID, handle)),
        index=parent.index,
        model=parent.model,
        memory_bytes=None if attributes is None else int(attributes.memorySizeMB) * MEBIBYTE,
        pci_bus_id=parent.pci_bus_id,
        minor=parent.minor,
        has_profiling=parent.has_profiling,
        parent_uuid=parent.gpu_uuid,
        mig_profile=None if name is None else name.rpartition("MIG ")[2],
        mig_gpu_instance=asker.value("gpu_instance", pynvml.nvmlDeviceGetGpuInstanceId, handle),
        mig_compute_instance=asker.value("compute_instance", pynvml.nvmlDeviceGetComputeInstanceId, handle),
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
