"""The adapter on the real control plane, in a namespace of the test's own."""

import random
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from scheduler.adapters.kubernetes.cluster import ClusterSettings, KubernetesCluster
from scheduler.adapters.kubernetes.connection import ConnectionLimits
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.adapters.kubernetes.watching import WatchTiming
from scheduler.domain.cluster import GpuClass
from scheduler.domain.observations import ObservedJob
from scheduler.domain.units import GpuClassName, Instant, NodeName, PerMille
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from scheduler.entrypoints.devcluster.simulated import RUN_SECONDS, TERMINATION_SECONDS
from tests.contracts.cluster_contract import ClusterRig
from tests.controlplane.planes import OWN

H100 = GpuClass(GpuClassName("h100"), PerMille(1000), (("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3"),))
A100 = GpuClass(GpuClassName("a100"), PerMille(600), (("nvidia.com/gpu.product", "NVIDIA-A100-SXM4-80GB"),))
CLASSES = {gpu_class.name: gpu_class for gpu_class in (H100, A100)}
H100_NODES = (NodeName("simulated-h100-0"), NodeName("simulated-h100-1"))


def own_class(namespace: str) -> GpuClass:
    """The class of `own_nodes`."""
    return GpuClass(GpuClassName("own"), PerMille(1000), ((OWN, namespace),))


def now() -> Instant:
    return Instant(time.time_ns() // 1_000_000)


def settings_for(namespace: str, **overrides: object) -> ClusterSettings:
    timing = WatchTiming(page_size=50, idle_seconds=90.0, backoff_cap_seconds=0.5)
    limits = ConnectionLimits(connections=16, timeout_seconds=10.0, patience_seconds=3.0)
    return ClusterSettings(namespaces=(namespace,), timing=timing, limits=limits, **overrides)  # type: ignore[arg-type]  # keywords of the settings


@pytest.fixture
def new_cluster(control_plane: ControlPlane) -> Callable[[ClusterSettings], KubernetesCluster]:
    """An adapter with an administrator's rights, not started."""

    def make(settings: ClusterSettings) -> KubernetesCluster:
        credentials = partial(load_credentials, str(control_plane.kubeconfig))
        cluster = KubernetesCluster(credentials, settings, now=now, jitter=random.Random(1).random)
        cluster.use_gpu_classes(CLASSES)
        return cluster

    return make


@pytest.fixture
async def cluster(
    new_cluster: Callable[[ClusterSettings], KubernetesCluster], namespace: str
) -> AsyncIterator[KubernetesCluster]:
    cluster = new_cluster(settings_for(namespace))
    await cluster.start()
    yield cluster
    await cluster.close()


@pytest.fixture
async def rig(cluster: KubernetesCluster, api: ApiClient, namespace: str) -> ClusterRig:
    async def end_after(job: ObservedJob, seconds: int) -> None:
        annotations = {RUN_SECONDS: str(seconds), TERMINATION_SECONDS: "0"}
        await api.patch(
            f"/apis/batch/v1/namespaces/{namespace}/jobs/{job.name}",
            {"spec": {"template": {"metadata": {"annotations": annotations}}}},
        )

    return ClusterRig(cluster, H100, H100_NODES, namespace, end_after)
