"""A client and a namespace on the real node's control plane, and the marker of what needs it."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from scheduler.entrypoints.devcluster.client import ApiClient
from tests.nvml.machine import build_library, compiler
from tests.plugins.polling import eventually
from tests.realnode.company import Company, working
from tests.realnode.node import RealNode

HERE = f"{Path(__file__).parent}{os.sep}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.controlplane)


@pytest.fixture
async def node_api(real_node: RealNode) -> AsyncIterator[ApiClient]:
    """A bare client with an administrator's rights, of the control plane that the real node belongs to."""
    async with real_node.plane.client() as client:
        yield client


@pytest.fixture
async def node_namespace(node_api: ApiClient) -> AsyncIterator[str]:
    """A namespace of the test's own on it, ready for pods."""
    name = await _namespace(node_api)
    yield name
    await node_api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="module")
def company(real_node: RealNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """People, their service and an agent on the module's node: one company for all of its tests."""
    if compiler() is None:
        pytest.skip("no C compiler: tests of the GPU sensors are left out (install cc or gcc)")
    folder = tmp_path_factory.mktemp("company")
    namespace = asyncio.run(_managed_namespace(real_node))
    with working(real_node, namespace, build_library(folder), folder) as company:
        yield company


async def _managed_namespace(node: RealNode) -> str:
    async with node.plane.client() as api:
        return await _namespace(api)


async def _namespace(api: ApiClient) -> str:
    name = f"test-{uuid.uuid4().hex[:10]}"
    await api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
    await eventually(lambda: api.items(accounts), bool)
    return name
