"""A site on the run's control plane, the service on it, and a witness of what its pods do."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from scheduler.entrypoints.devcluster.nodes import H100, T4
from tests.e2e.company import PEOPLE, POLICY, RACKS, own_h100s
from tests.e2e.running import Running, Site
from tests.e2e.witness import Witness
from tests.plugins.controlplane import lending, own_model, own_node


@pytest.fixture
async def site(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Site]:
    """Its H100s are three nodes of its own, and its T4s are `own_nodes` where a test has them: others that run meanwhile
    neither wait for them nor come there."""
    policy = POLICY
    for model in (H100, T4):
        policy = policy.replace(model.product, own_model(model, namespace).product)
    (tmp_path / "policy.yaml").write_text(policy)
    (tmp_path / "people.yaml").write_text(PEOPLE)
    h100s = [own_node(name, H100, namespace, rack) for name, rack in zip(own_h100s(namespace), RACKS, strict=True)]
    async with lending(control_plane, h100s):
        yield Site(tmp_path, control_plane.kubeconfig, namespace)


@pytest.fixture
async def running(site: Site) -> AsyncIterator[Running]:
    started = await Running.start(site)
    yield started
    await started.close()


@pytest.fixture
async def witness(api: ApiClient, namespace: str) -> AsyncIterator[Witness]:
    watching = Witness(api, namespace)
    await watching.begin()
    yield watching
    await watching.end()
