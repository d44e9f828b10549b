"""The contract of every cluster, on the real control plane."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from scheduler.adapters.kubernetes.cluster import ClusterSettings, KubernetesCluster
from scheduler.domain.units import NodeName
from tests.adapters.kubernetes.conftest import own_class, settings_for
from tests.contracts.cluster_contract import ClusterContract, ClusterRig
from tests.contracts.resizing_contract import ResizingContract

pytestmark = pytest.mark.controlplane


@pytest.fixture
async def rig(
    rig: ClusterRig,
    new_cluster: Callable[[ClusterSettings], KubernetesCluster],
    namespace: str,
    own_nodes: tuple[NodeName, NodeName],
) -> AsyncIterator[ClusterRig]:
    """On nodes that nobody else's pods come to: what they hold is counted."""
    own = own_class(namespace)
    cluster = new_cluster(settings_for(namespace))
    cluster.use_gpu_classes({own.name: own})
    await cluster.start()
    yield replace(rig, cluster=cluster, gpu_class=own, nodes=own_nodes)
    await cluster.close()


class TestKubernetesCluster(ClusterContract, ResizingContract):
    pass
