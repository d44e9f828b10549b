"""Device allocations: which pods the kubelet gave which GPUs to. Its list, resolved to the devices that the sensors know.

Device ids come in many forms: `GPU-u` and `MIG-u` (NVIDIA's device plugin), `…::3` (a share in time), `MIG-GPU-u/gi/ci`
(drivers before 470), `nvidia0`, `nvidia0/vgpu1` and `nvidia0/gi3` (GKE), and claims of DRA, which name `gpu-0` by its
minor number, and MIG instances by what CDI says of them (`nvidia0/gi3/ci0`). What cannot be resolved gives nothing: it is
counted, and no device is anybody's for it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scheduler.metering.devices import Device
from scheduler.metering.samples import PodRef

_REPLICA = re.compile(r"::\d+$")
_LEGACY_MIG = re.compile(r"MIG-(?P<parent>GPU-[0-9a-fA-F-]+)/(?P<gi>\d+)/(?P<ci>\d+)")
_GKE = re.compile(r"nvidia(?P<minor>\d+)(?:/vgpu\d+|/gi(?P<gi>\d+)(?:/ci(?P<ci>\d+))?)?")
_CLAIMED = re.compile(r"gpu-(?P<minor>\d+)")


@dataclass(frozen=True, slots=True)
class AllocatedDevice:
    """A device id as the kubelet lists it, and the container that has it. It names no UID: the pod is found by its
    name."""

    device_id: str
    pod: PodRef
    container: str = ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Who has each device that anybody has, and how many ids no device was found for."""

    allocations_of: Mapping[str, tuple[AllocatedDevice, ...]]
    unresolved: int

    def pods_of(self, uuid: str) -> tuple[PodRef, ...]:
        """Whom it was given to, each once; nobody where the kubelet names nobody."""
        return tuple(sorted({each.pod for each in self.allocations_of.get(uuid, ())}))


def resolve(allocated: Iterable[AllocatedDevice], devices: Sequence[Device]) -> Resolved:
    """One device may have several pods: those that share it in time."""
    allocations_of: dict[str, list[AllocatedDevice]] = {}
    unresolved = 0
    for each in allocated:
        device = _device(_REPLICA.sub("", each.device_id), devices)
        if device is None:
            unresolved += 1
        else:
            allocations_of.setdefault(device.gpu_uuid, []).append(each)
    return Resolved({uuid: tuple(each) for uuid, each in allocations_of.items()}, unresolved)


def _device(device_id: str, devices: Sequence[Device]) -> Device | None:
    same = next((device for device in devices if device.gpu_uuid.lower() == device_id.lower()), None)
    if same is not None:
        return same
    legacy = _LEGACY_MIG.fullmatch(device_id)
    if legacy is not None:
        instances = (device for device in devices if device.parent_uuid == legacy["parent"])
        return _instance(instances, int(legacy["gi"]), int(legacy["ci"]))
    numbered = _GKE.fullmatch(device_id) or _CLAIMED.fullmatch(device_id)
    if numbered is None:
        return None
    whole = [device for device in devices if device.parent_uuid is None and device.minor == int(numbered["minor"])]
    gpu_instance = numbered.groupdict().get("gi")
    if gpu_instance is None or not whole:
        return whole[0] if whole else None
    compute_instance = numbered.groupdict().get("ci")
    return _instance(
        (device for device in devices if device.parent_uuid == whole[0].gpu_uuid),
        int(gpu_instance),
        None if compute_instance is None else int(compute_instance),
    )


def _instance(devices: Iterable[Device], gpu_instance: int, compute_instance: int | None) -> Device | None:
    return next(
        (
            device
            for device in devices
            if device.mig_gpu_instance == gpu_instance and compute_instance in {None, device.mig_compute_instance}
        ),
        None,
    )
