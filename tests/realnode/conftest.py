"""A client and a namespace on the real node's control plane, and the marker of what needs it."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scheduler.entrypoints.devcluster.client import ApiClient
from tests.plugins.polling import eventually
from tests.realnode.node import RealNode

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.controlplane)


@pytest.fixture
async def node_api(real_node: RealNode) -> AsyncIterator[ApiClient]:
    """A bare client with an administrator's rights, of the control plane that the real node belongs to."""
    async with real_node.plane.client() as client:
        yield client


@pytest.fixture
async def node_namespace(node_api: ApiClient) -> AsyncIterator[str]:
    """A namespace of the test's own on it, ready for pods."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    await node_api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
    await eventually(lambda: node_api.items(accounts), bool)
    yield name
    await node_api.delete(f"/api/v1/namespaces/{name}")
