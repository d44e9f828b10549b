"""Which GPU class of a policy a described node is of."""

import pytest

from scheduler.adapters.policy_files import read_policy
from scheduler.domain.units import GpuClassName
from scheduler.simulation.replay.cluster import PRODUCT, class_named, class_of, openb_cluster, quota_cluster
from scheduler.simulation.traces.openb import OpenbNode
from tests.simulation.replay.build import POLICY

TWO = read_policy(
    POLICY.replace(
        "  gpu: {weight_per_mille: 1000}\n",
        "  gpu: {weight_per_mille: 1000, node_selector: {nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}}\n"
        "  H100: {weight_per_mille: 2000, node_selector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}}\n",
    ),
    "two",
)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("a100", "gpu"),
        ("A10", None),
        ("H100", "H100"),
        ("h100-long", "H100"),
        ("nvidia_a100-sxm4-80gb", "gpu"),
        ("80GB", None),
        ("", None),
    ],
)
def test_names_are_compared_by_whole_words(model: str, name: str | None) -> None:
    assert class_named(TWO, model, {}) == name


def test_what_is_said_goes_first_and_labels_before_names() -> None:
    labels = {PRODUCT: "NVIDIA-A100-SXM4-80GB"}
    assert class_of(TWO, labels, {}) == "gpu"
    assert class_of(TWO, labels, {"NVIDIA-A100-SXM4-80GB": GpuClassName("H100")}) == "H100"
    assert class_of(TWO, {PRODUCT: "T4"}, {}) is None


def test_a_cluster_of_the_quotas_covers_them() -> None:
    assert sum(node.gpus for node in quota_cluster(TWO)) == 8


def test_of_openbs_nodes_those_without_gpus_are_left_out() -> None:
    nodes = [OpenbNode("bare", 64_000, 262_144, 0, ""), OpenbNode("full", 64_000, 262_144, 8, "V100M32")]
    assert [(node.name, node.labels) for node in openb_cluster(nodes)] == [("full", {PRODUCT: "V100M32"})]
