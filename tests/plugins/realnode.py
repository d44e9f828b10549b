"""A real node beside a real control plane of its own, where this machine can run one; it is root's, on Linux.

Elsewhere the tests that ask for it are left out, and the summary says why in one line. With ALLOT_REQUIRE_REAL_NODE they
fail instead: for a machine that is known to be able.
"""

import asyncio
import os
from collections.abc import Callable, Generator, Iterator
from typing import NoReturn

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
ARCHIVE = "ALLOT_IMAGE_ARCHIVE"
"""The variable that names our own image, as `make test-image` built it."""

_REQUIRED = "ALLOT_REQUIRE_REAL_NODE"
_LEFT_OUT = "the tests on a real node were left out: {}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """One place for all that is left out, so that the summary folds it into one line."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and _LEFT_OUT.format("") in report.longrepr[2]:
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report


@pytest.fixture(scope="module")
def real_node(start_control_plane: Callable[[Options], ControlPlane]) -> Iterator[RealNode]:
    """With four GPUs, as the fake NVML library is to describe them, and simulated nodes beside it."""
    leave_out_where_it_cannot_run()
    kubelet = cached_kubelet()
    if kubelet is None:
        leave_out("kubelet is not built (`make realnode`, four minutes, with Go 1.26)")
    plane = start_control_plane(Options(default_nodes()))
    try:
        node = asyncio.run(start(plane, kubelet, GPUS, LABELS, (IMAGE,)))
    except NodeUnavailable as unavailable:
        leave_out(str(unavailable))
    yield node
    node.stop()


def leave_out_where_it_cannot_run() -> None:
    """Ends the test, as left out, on a machine that lacks what a real node takes."""
    reason = missing()
    if reason is not None:
        leave_out(reason)


def leave_out(reason: str) -> NoReturn:
    """Ends the test, as left out; as failed, where a real node is required."""
    if os.environ.get(_REQUIRED):
        pytest.fail(_LEFT_OUT.format(reason), pytrace=False)
    pytest.skip(_LEFT_OUT.format(reason))
