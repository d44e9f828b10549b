"""MIG instances under claims of DRA: from the kubelet's list over CDI and the kernel's table to the instance's UUID."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from scheduler.adapters.kubelet.cdi import MIG_MINORS, CdiFolder
from scheduler.adapters.kubelet.pod_resources import PodResources
from scheduler.domain.units import GpuUuid
from scheduler.metering.device_allocations import resolve
from scheduler.metering.devices import Device
from scheduler.metering.samples import PodRef
from tests.adapters.kubelet.fake_kubelet import FakeKubelet

POD = PodRef("research", "slice")
CUT = Device(GpuUuid("GPU-a"), 0, "H100", 80, minor=0, is_partitioned=True)
SMALL, LARGE = (
    Device(
        GpuUuid(uuid), n, "H100", 10, minor=0, parent_uuid=CUT.gpu_uuid, mig_gpu_instance=gi, mig_compute_instance=0
    )
    for n, (uuid, gi) in enumerate((("MIG-small", 9), ("MIG-large", 2)))
)
NAMES = ("gpu-0-mig-1g10gb-19-0", "gpu-0-mig-19-0-1")
TABLE = """\
config 1
monitor 2
gpu0/gi2/access 21
gpu0/gi2/ci0/access 22
gpu0/gi9/access 84
gpu0/gi9/ci0/access 85
"""


def claim(name: str, *capabilities: int) -> dict[str, Any]:
    """As NVIDIA's driver writes it for one claim."""
    paths = ["/dev/nvidiactl", "/dev/nvidia0", *(f"/dev/nvidia-caps/nvidia-cap{minor}" for minor in capabilities)]
    nodes = [{"path": path} for path in paths]
    edits = {"env": ["NVIDIA_VISIBLE_DEVICES=void"], "deviceNodes": nodes}
    return {
        "cdiVersion": "0.5.0",
        "kind": "k8s.gpu.nvidia.com/claim",
        "devices": [{"name": name, "containerEdits": edits}],
    }


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    table = tmp_path / "proc" / MIG_MINORS
    table.parent.mkdir(parents=True)
    table.write_text(TABLE)
    (tmp_path / "cdi").mkdir()
    return tmp_path / "proc"


def listed(name: str, cdi: CdiFolder | None) -> tuple[dict[str, tuple[PodRef, ...]], int]:
    kubelet = FakeKubelet()
    kubelet.pods = {("research", "slice"): {"dra:gpu.nvidia.com": [name]}}
    with TemporaryDirectory(prefix="kubelet-") as folder, kubelet.serving(Path(folder) / "kubelet.sock"):
        granted = PodResources(Path(folder) / "kubelet.sock", cdi).list()
    assert granted is not None
    found = resolve(granted, (CUT, SMALL, LARGE))
    return {uuid: found.pods_of(uuid) for uuid in found.allocations_of}, found.unresolved


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_claim_of_a_mig_instance_is_that_instance(tmp_path: Path, proc: Path, name: str, suffix: str) -> None:
    spec = claim(f"c-1-{name}", 84, 85)
    written = json.dumps(spec) if suffix == "json" else yaml.safe_dump(spec)
    (tmp_path / "cdi" / f"k8s.gpu.nvidia.com-claim_c-1.{suffix}").write_text(written)
    assert listed(name, CdiFolder(tmp_path / "cdi", proc)) == ({SMALL.gpu_uuid: (POD,)}, 0)


def test_a_claim_of_a_whole_gpu_needs_no_cdi() -> None:
    assert listed("gpu-0", None) == ({CUT.gpu_uuid: (POD,)}, 0)


BROKEN: dict[str, str] = {
    "no file": "",
    "no YAML": "{: [",
    "a list": "[]",
    "devices that are none": "kind: k8s.gpu.nvidia.com/claim\ndevices: [1, {name: x, containerEdits: [], deviceNodes: 3}]",
    "nodes without capabilities": json.dumps(claim(f"c-1-{NAMES[0]}")),
    "a capability that nobody has": json.dumps(claim(f"c-1-{NAMES[0]}", 4_000)),
    "another claim": json.dumps(claim(f"c-2-{NAMES[0]}", 84, 85)),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_cdi_does_not_tell_is_unresolved_and_nobodys(tmp_path: Path, proc: Path, text: str) -> None:
    if text:
        (tmp_path / "cdi" / "claim.yaml").write_text(text)
    assert listed(NAMES[0], CdiFolder(tmp_path / "cdi", proc)) == ({}, 1)


def test_without_the_kernels_table_nothing_is_guessed(tmp_path: Path, proc: Path) -> None:
    (tmp_path / "cdi" / "claim.json").write_text(json.dumps(claim(f"c-1-{NAMES[0]}", 84, 85)))
    (proc / MIG_MINORS).unlink()
    assert listed(NAMES[0], CdiFolder(tmp_path / "cdi", proc)) == ({}, 1)
