import pytest

from scheduler.domain.units import GpuUuid
from scheduler.metering.device_allocations import AllocatedDevice, resolve
from scheduler.metering.devices import Device
from scheduler.metering.samples import PodRef

POD, OTHER = PodRef("research", "train-0"), PodRef("research", "train-1")
WHOLE = Device(GpuUuid("GPU-aa-1"), 0, "H100", 80, minor=0)
CUT = Device(GpuUuid("GPU-bb-2"), 1, "H100", 80, minor=3, is_partitioned=True)
SLICE = Device(
    GpuUuid("MIG-cc-3"), 0, "H100", 10, parent_uuid=CUT.gpu_uuid, mig_gpu_instance=9, mig_compute_instance=0
)
DEVICES = (WHOLE, CUT, SLICE)

FORMS = {
    "a GPU": ("GPU-aa-1", WHOLE),
    "a share of it in time": ("GPU-aa-1::7", WHOLE),
    "a MIG instance": ("MIG-cc-3", SLICE),
    "a share of an instance": ("MIG-cc-3::0", SLICE),
    "an instance of an old driver": ("MIG-GPU-bb-2/9/0", SLICE),
    "GKE": ("nvidia0", WHOLE),
    "GKE, shared": ("nvidia0/vgpu1", WHOLE),
    "GKE, an instance": ("nvidia3/gi9", SLICE),
    "a claim by minor number": ("gpu-3", CUT),
    "a claim by UUID": ("gpu-aa-1", WHOLE),
    "another compute instance": ("MIG-GPU-bb-2/9/1", None),
    "an instance that is gone": ("nvidia3/gi4", None),
    "a GPU of no node": ("GPU-zz", None),
    "a minor number that is not there": ("nvidia7", None),
}


@pytest.mark.parametrize(("device_id", "device"), FORMS.values(), ids=FORMS)
def test_an_id_of_any_form_is_the_device_that_it_means(device_id: str, device: Device | None) -> None:
    resolved = resolve([AllocatedDevice(device_id, POD)], DEVICES)
    assert {uuid: resolved.pods_of(uuid) for uuid in resolved.allocations_of} == (
        {} if device is None else {device.gpu_uuid: (POD,)}
    )
    assert resolved.unresolved == (device is None)


def test_a_device_that_is_shared_has_all_its_pods_once() -> None:
    granted = [
        AllocatedDevice("GPU-aa-1::1", OTHER),
        AllocatedDevice("GPU-aa-1::0", POD),
        AllocatedDevice("GPU-aa-1::2", POD),
    ]
    assert resolve(granted, DEVICES).pods_of(WHOLE.gpu_uuid) == (POD, OTHER)
