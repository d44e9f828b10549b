"""The kubelet's list, over a real unix socket."""

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scheduler.adapters.kubelet.messages import ListResponse
from scheduler.adapters.kubelet.pod_resources import PodResources
from scheduler.metering.device_allocations import AllocatedDevice
from scheduler.metering.samples import PodRef
from tests.adapters.kubelet.fake_kubelet import FakeKubelet

TRAINING = PodRef("research", "train-0")


@pytest.fixture
def socket() -> Iterator[Path]:
    """In a folder of a short name: a unix socket's address has room for 107 bytes."""
    with TemporaryDirectory(prefix="kubelet-") as folder:
        yield Path(folder) / "kubelet.sock"


def test_gpus_of_every_form_are_listed_and_nothing_else(socket: Path) -> None:
    kubelet = FakeKubelet()
    kubelet.pods = {
        ("research", "train-0"): {
            "nvidia.com/gpu": ["GPU-a", "GPU-b"],
            "nvidia.com/gpu.shared": ["GPU-c::3"],
            "rdma/hca": ["mlx5_0"],
        },
        ("research", "slice"): {"nvidia.com/mig-1g.10gb": ["MIG-a"], "dra:gpu.nvidia.com": ["gpu-0"]},
        ("kube-system", "dns"): {},
        ("other", "nic"): {"dra:nic.example.com": ["eth-0"]},
    }
    with kubelet.serving(socket):
        assert PodResources(socket).list() == (
            AllocatedDevice("GPU-a", TRAINING, "main"),
            AllocatedDevice("GPU-b", TRAINING, "main"),
            AllocatedDevice("GPU-c::3", TRAINING, "main"),
            AllocatedDevice("MIG-a", PodRef("research", "slice"), "main"),
            AllocatedDevice("gpu-0", PodRef("research", "slice"), "main"),
        )


def test_without_a_kubelet_it_is_unavailable_and_not_empty(socket: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = PodResources(socket)
    with caplog.at_level(logging.INFO):
        assert asked.list() is None
        assert asked.list() is None
        with FakeKubelet().serving(socket):
            assert asked.list() == ()
        assert asked.list() is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


def test_a_kubelet_that_is_started_again_is_found_on_its_new_socket(socket: Path) -> None:
    asked = PodResources(socket)
    for name in ("before", "after"):
        kubelet = FakeKubelet()
        kubelet.pods = {("research", name): {"nvidia.com/gpu": ["GPU-a"]}}
        with kubelet.serving(socket):
            assert asked.list() == (AllocatedDevice("GPU-a", PodRef("research", name), "main"),)


def test_an_answer_of_more_than_four_mebibytes_is_read(socket: Path) -> None:
    kubelet = FakeKubelet()
    ids = [f"GPU-{number:0200d}" for number in range(25_000)]
    kubelet.pods = {("research", "train-0"): {"nvidia.com/gpu": ids}}
    with kubelet.serving(socket):
        listed = PodResources(socket).list()
    assert listed is not None
    assert len(listed) == 25_000


def test_the_declared_messages_are_those_of_the_wire() -> None:
    """Bytes as the published proto has them: field numbers and types, with a field that we do not read (cpu_ids)."""
    device = b"\x0a\x0envidia.com/gpu" + b"\x12\x05GPU-a"
    container = b"\x0a\x04main" + b"\x12" + bytes([len(device)]) + device + b"\x1a\x02\x01\x02"
    pod = b"\x0a\x07train-0" + b"\x12\x08research" + b"\x1a" + bytes([len(container)]) + container
    answer = ListResponse.FromString(b"\x0a" + bytes([len(pod)]) + pod)
    (told,) = answer.pod_resources
    assert (told.namespace, told.name, told.containers[0].name) == ("research", "train-0", "main")
    assert list(told.containers[0].devices[0].device_ids) == ["GPU-a"]
