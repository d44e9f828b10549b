"""A launch that comes before the Job's controller has marked it suspended, on a control plane without controllers."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from scheduler.adapters.kubernetes.cluster import KubernetesCluster
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.adapters.kubernetes.names import MERGE_PATCH
from scheduler.domain.actions import ActionResult
from scheduler.domain.observations import ObservedJob
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options
from scheduler.entrypoints.devcluster.nodes import default_nodes
from tests.adapters.kubernetes.conftest import CLASSES, H100, H100_NODES, now, settings_for
from tests.contracts.cluster_contract import ClusterRig

pytestmark = pytest.mark.controlplane

_JOB = "/apis/batch/v1/namespaces/team/jobs/w-early"


@pytest.fixture
async def plane(new_control_plane: Callable[[Options], ControlPlane]) -> ControlPlane:
    gates = {"MutableSchedulingDirectivesForSuspendedJobs": True}  # by default, but not where nobody marks Jobs
    return await asyncio.to_thread(new_control_plane, Options(default_nodes(), False, gates))


@pytest.fixture
async def team(plane: ControlPlane) -> AsyncIterator[ApiClient]:
    async with plane.client() as api:
        await api.post("/api/v1/namespaces", {"metadata": {"name": "team"}})
        yield api


@pytest.fixture
async def early(plane: ControlPlane, team: ApiClient) -> AsyncIterator[ClusterRig]:
    credentials = partial(load_credentials, str(plane.kubeconfig))
    cluster = KubernetesCluster(credentials, settings_for("team"), now=now, jitter=random.Random(1).random)
    cluster.use_gpu_classes(CLASSES)
    await cluster.start()
    yield ClusterRig(cluster, H100, H100_NODES, "team", _nothing)
    await cluster.close()


async def test_a_launch_that_comes_too_early_is_never_refused_for_good(early: ClusterRig, team: ApiClient) -> None:
    workload = early.workload("w-early")
    job = await early.created(workload)
    launch = early.launching(workload, job, (H100_NODES[0], 1))

    # Kubernetes 1.36.2 and later take it at once; the ones before say 422 until the mark is there.
    assert (await early.do(launch)).result in {ActionResult.DONE, ActionResult.RETRY}

    mark = {"type": "Suspended", "status": "True", "reason": "JobSuspended"}
    await team.patch(f"{_JOB}/status", {"status": {"conditions": [mark]}}, MERGE_PATCH)
    assert (await early.do(launch)).result in {ActionResult.DONE, ActionResult.STALE}
    stored = (await team.get(_JOB))["spec"]
    assert not stored["suspend"]
    assert stored["template"]["metadata"]["annotations"]["allot.dev/attempt"] == "w-early-a1"


async def _nothing(job: ObservedJob, seconds: int) -> None:
    raise AssertionError(f"{job.name} is not to end by itself after {seconds} s here")
