"""Nodes: their class, what is left of them, and whether they take work."""

from dataclasses import replace

import pytest

from scheduler.adapters.kubernetes.nodes import class_of, node_of, read_node
from scheduler.adapters.kubernetes.resources import Amounts
from scheduler.domain.cluster import GpuClass, Node, Taint
from scheduler.domain.units import GpuClassName, NodeName, PerMille
from tests.adapters.kubernetes.objects import Json, node

H100 = GpuClass(GpuClassName("h100"), PerMille(1000), (("nvidia.com/gpu.product", "H100"),))
ANY = GpuClass(GpuClassName("any"), PerMille(100), ())
NVLINK = GpuClass(
    GpuClassName("nvlink"), PerMille(1200), (("nvidia.com/gpu.product", "H100"), ("example/nvlink", "true"))
)
MIG = GpuClass(
    GpuClassName("mig"), PerMille(150), (("nvidia.com/gpu.product", "H100"),), resource="nvidia.com/mig-1g.10gb"
)


def test_a_node_offers_what_pods_that_are_not_ours_leave() -> None:
    outside = Amounts(cpu_milli=3_500, memory_mib=1024, devices=(("nvidia.com/gpu", 2), ("rdma/hca", 1)))

    read = node_of(read_node(node()), [H100], outside)

    assert read == Node(
        name=NodeName("node-1"),
        gpu_class=H100.name,
        gpus=6,
        cpu_milli=60_000,
        memory_mib=523_264,
        outside_gpus=2,
        accepts_work=True,
        labels={"kubernetes.io/hostname": "node-1", "nvidia.com/gpu.product": "H100"},
        taints=(Taint("nvidia.com/gpu", "present", "NoSchedule"),),
    )


def test_a_node_of_no_class_offers_no_gpu() -> None:
    read = node_of(read_node(node(labels={"nvidia.com/gpu.product": "T4"})), [H100])

    assert (read.gpu_class, read.gpus) == (None, 0)


def test_more_taken_than_there_is_leaves_nothing_and_never_less() -> None:
    read = node_of(read_node(node(gpus=1)), [H100], Amounts(10**9, 10**9, (("nvidia.com/gpu", 4),)))

    assert (read.gpus, read.outside_gpus, read.cpu_milli, read.memory_mib) == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(node(), H100, id="one class selects it"),
        pytest.param(node(labels={"example/nvlink": "true"}), NVLINK, id="the class that says more about it"),
        pytest.param(
            node(gpus=0, devices={"nvidia.com/mig-1g.10gb": "7"}), MIG, id="the class whose resource it has"
        ),
        pytest.param(node(labels={"nvidia.com/gpu.product": "T4"}), ANY, id="a class without a selector"),
    ],
)
def test_a_node_has_the_class_that_fits_it_best(raw: Json, expected: GpuClass) -> None:
    assert class_of(read_node(raw), [ANY, MIG, H100, NVLINK]) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(node(gpus=0, devices={"nvidia.com/mig-1g.10gb": "14"}), ("a100-1g", 14), id="one MIG profile"),
        pytest.param(node(gpus=4, devices={"nvidia.com/mig-1g.10gb": "28"}), ("a100", 4), id="GPUs beside instances"),
        pytest.param(
            node(gpus=0, devices={"nvidia.com/mig-1g.10gb": "6", "nvidia.com/mig-3g.40gb": "2"}),
            ("a100-1g", 6),
            id="two profiles",
        ),
        pytest.param(node(gpus=32, labels={"nvidia.com/gpu.product": "H100-SHARED"}), ("quarter", 32), id="replicas"),
        pytest.param(node(gpus=0, devices={"nvidia.com/gpu.shared": "16"}), ("renamed", 16), id="renamed replicas"),
    ],
)
def test_instances_and_shares_are_classes_and_a_node_is_of_one(raw: Json, expected: tuple[str, int]) -> None:
    """As docs/policies.md tells it."""
    model = ("nvidia.com/gpu.product", "H100")
    classes = [
        GpuClass(GpuClassName("a100"), PerMille(1000), (model,)),
        GpuClass(GpuClassName("a100-3g"), PerMille(450), (model,), "nvidia.com/mig-3g.40gb"),
        GpuClass(GpuClassName("a100-1g"), PerMille(150), (model,), "nvidia.com/mig-1g.10gb"),
        GpuClass(GpuClassName("quarter"), PerMille(250), (("nvidia.com/gpu.product", "H100-SHARED"),)),
        GpuClass(GpuClassName("renamed"), PerMille(250), (model,), "nvidia.com/gpu.shared"),
    ]
    read = node_of(read_node(raw), classes)
    assert (read.gpu_class, read.gpus) == expected


@pytest.mark.parametrize(
    ("raw", "accepts"),
    [
        pytest.param(node(), True, id="ready, with the GPU taint"),
        pytest.param(node(spec={"unschedulable": True}), False, id="cordoned"),
        pytest.param(node(ready="False"), False, id="not ready"),
        pytest.param(node(ready="Unknown"), False, id="silent"),
        pytest.param(node(spec={"taints": [{"key": "dedicated", "effect": "NoSchedule"}]}), False, id="tainted"),
        pytest.param(node(spec={"taints": [{"key": "dedicated", "effect": "NoExecute"}]}), False, id="evicting"),
        pytest.param(node(spec={"taints": [{"key": "x", "effect": "PreferNoSchedule"}]}), True, id="a preference"),
    ],
)
def test_a_node_takes_work_when_our_pods_may_run_there(raw: Json, accepts: bool) -> None:
    assert node_of(read_node(raw), [H100]).accepts_work is accepts


def test_the_taints_that_a_gpu_class_tolerates_keep_its_nodes_open_and_no_others() -> None:
    taints = [
        {"key": "sku", "value": "gpu", "effect": "NoSchedule"},
        {"key": "nvidia.com/gpu", "effect": "NoExecute"},
    ]
    record = read_node(node(spec={"taints": taints}))
    for tolerates, accepts in ((("sku", "spot"), True), (("spot",), False)):
        assert node_of(record, [replace(H100, tolerates=tolerates)]).accepts_work is accepts


def test_a_node_that_has_said_nothing_yet_is_not_ready() -> None:
    read = node_of(read_node({"metadata": {"name": "new"}}), [H100])

    assert read == Node(NodeName("new"), None, 0, 0, 0, accepts_work=False)
