"""A real node beside a real control plane of its own, where this machine can run one; it is root's, on Linux.

Elsewhere the tests that ask for it are left out, and the summary says why in one line. With ALLOT_REQUIRE_REAL_NODE they
fail instead: for a machine that is known to be able.
"""

import asyncio
import os
from collections.abc import Callable, Iterator

import pytest

from scheduler.domain.units import GpuUuid
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options
from scheduler.entrypoints.devcluster.nodes import H100, default_nodes
from tests.realnode.enclosure import NodeUnavailable
from tests.realnode.machine import missing
from tests.realnode.node import RealNode, start
from tests.realnode.programs import cached_kubelet

IMAGE = "registry.example/train:1"
LABELS = {"nvidia.com/gpu.product": "Real-H100", "nvidia.com/gpu.memory": str(H100.memory_mib)}
"""A product that no simulated node has, so that a policy can tell them apart."""

GPUS = tuple(GpuUuid(f"GPU-0000000{number}-1111-2222-3333-444444444444") for number in range(4))
_REQUIRED = "ALLOT_REQUIRE_REAL_NODE"
_LEFT_OUT = "the tests on a real node were left out: {}"


@pytest.fixture(scope="module")
def real_node(start_control_plane: Callable[[Options], ControlPlane]) -> Iterator[RealNode]:
    """With four GPUs, as the fake NVML library is to describe them, and simulated nodes beside it."""
    reason, kubelet = missing(), cached_kubelet()
    if reason is None and kubelet is None:
        reason = "kubelet is not built (`make realnode`, four minutes, with Go 1.26)"
    if reason is not None:
        _leave_out(reason)
    assert kubelet is not None
    plane = start_control_plane(Options(default_nodes()))
    try:
        node = asyncio.run(start(plane, kubelet, GPUS, LABELS, (IMAGE,)))
    except NodeUnavailable as unavailable:
        _leave_out(str(unavailable))
    yield node
    node.stop()


def _leave_out(reason: str) -> None:
    if os.environ.get(_REQUIRED):
        pytest.fail(_LEFT_OUT.format(reason), pytrace=False)
    pytest.skip(_LEFT_OUT.format(reason))
