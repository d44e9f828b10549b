"""A node that goes away under what runs on it, on the real control plane: charged to its last sign of life, queued anew."""

import pytest

from scheduler.adapters.kubernetes.stamps import instant_of, micro_time
from scheduler.domain.reasons import Reason
from scheduler.domain.records import EndEvidence
from scheduler.domain.units import MS_PER_SECOND, GpuClassName, Instant, NodeName
from scheduler.domain.workloads import Workload, WorkloadState
from scheduler.entrypoints.devcluster.client import ApiClient, Json
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from scheduler.entrypoints.devcluster.simulated import HANG, NOT_READY
from tests.adapters.kubernetes.conftest import now
from tests.controlplane.planes import OWN, kubeconfig_of
from tests.e2e.admission import let_edit, stamp_authors
from tests.e2e.running import IMAGE, Running
from tests.e2e.witness import Witness
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
BEAT_SECONDS = 3
"""After its pod's start: the last sign of life by its lease."""
GONE_SECONDS = 120.0
"""Kubernetes looks for pods without a node every 20 s, and again 40 s later before it believes it."""


async def on_own_node(running: Running, witness: Witness, namespace: str) -> tuple[Workload, NodeName]:
    own = ((OWN, namespace),)
    await running.until_it_knows(NodeName(f"{namespace}-0"), NodeName(f"{namespace}-1"))
    submitted = await running.submit("ada", "sleep", "3600", gpu_classes=(GpuClassName("T4"),), nodes_with=own)
    begun = await running.until(submitted.id, WorkloadState.RUNNING)
    (pod,) = witness.of_job(begun.job_uid)
    return begun, NodeName(pod.node)


async def write_last_beat(api: ApiClient, node: NodeName, at: Instant) -> None:
    """The kubelet's lease, as its last renewal left it."""
    renewed = micro_time(at)
    lease = {"metadata": {"name": node}, "spec": {"renewTime": renewed}}
    known = [item["metadata"]["name"] for item in await api.items(LEASES)]
    if node in known:
        await api.patch(f"{LEASES}/{node}", {"spec": lease["spec"]})
    else:
        await api.post(LEASES, lease)


async def passed(at: Instant) -> None:
    """What is dated in the future is no evidence yet."""

    async def clock() -> Instant:
        return now()

    await eventually(clock, lambda seen: seen > at)


async def stop_answering(api: ApiClient, node: NodeName) -> Instant:
    """The node's kubelet says that it is not ready, and then nothing more. When it said so."""
    await api.patch(f"/api/v1/nodes/{node}", {"metadata": {"annotations": {NOT_READY: "true"}}})

    async def ready() -> Json:
        found = await api.get(f"/api/v1/nodes/{node}")
        return next(item for item in found["status"]["conditions"] if item["type"] == "Ready")

    condition = await eventually(ready, lambda seen: seen["status"] == "False", GONE_SECONDS)
    said_at = instant_of(condition["lastHeartbeatTime"])
    assert said_at is not None
    return said_at


async def assert_lost_and_running_again(
    running: Running, witness: Witness, lost: Workload, node: NodeName, beat_at: Instant
) -> None:
    """Charged for the seconds to the last beat, flagged, and on its way again elsewhere by the same Job."""

    async def progress() -> tuple[int, WorkloadState, list[Reason]]:
        return len(running.attempts(lost.id)), (await running.workload(lost.id)).state, running.reasons(lost.id)

    await eventually(progress, lambda seen: seen[:2] == (2, WorkloadState.RUNNING), GONE_SECONDS)
    again = await running.workload(lost.id)
    first, second = running.attempts(lost.id)
    assert first.stop_reason is Reason.NODE_LOST
    assert Reason.NODE_LOST in running.reasons(lost.id)
    with running.service.store.reading() as books:
        (run,) = books.attempts.pods_of([first.id])[first.id]
    assert run.end_evidence is EndEvidence.LAST_SEEN
    assert run.started_at is not None
    assert run.ended_at == beat_at
    assert first.charged_gpu_ms == beat_at - run.started_at
    assert (again.job_uid, again.retries) == (lost.job_uid, 0)
    assert [name for name, _ in second.placement.pods_by_node] != [node]
    assert [pod.attempt for pod in witness.of_job(again.job_uid) if pod.node != node] == [second.id]
    await running.cancel("ada", lost.id)
    await running.until(lost.id, WorkloadState.CANCELLED)
    running.assert_settled(lost.id)


async def test_a_node_that_stops_answering_and_is_given_up_costs_its_work_nothing_after_its_last_beat(
    running: Running, witness: Witness, api: ApiClient, namespace: str, own_nodes: tuple[NodeName, NodeName]
) -> None:
    assert len(own_nodes) == 2
    lost, node = await on_own_node(running, witness, namespace)
    (pod,) = witness.of_job(lost.job_uid)
    assert pod.started_at is not None
    path = f"/api/v1/namespaces/{namespace}/pods/{pod.name}"
    await api.patch(path, {"metadata": {"annotations": {HANG: "termination"}}})  # nobody is there to end it
    lease_at = Instant((pod.started_at + BEAT_SECONDS) * MS_PER_SECOND)
    await write_last_beat(api, node, lease_at)

    beat_at = max(lease_at, await stop_answering(api, node))
    await passed(beat_at)
    # What Kubernetes does five minutes later by itself, and an operator does who takes the node out of service.
    taints = [{"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}]
    await api.patch(f"/api/v1/nodes/{node}", {"spec": {"taints": taints}})

    await assert_lost_and_running_again(running, witness, lost, node, beat_at)


async def test_a_node_that_is_deleted_takes_its_pods_along_and_its_work_runs_again_elsewhere(
    running: Running, witness: Witness, api: ApiClient, namespace: str, own_nodes: tuple[NodeName, NodeName]
) -> None:
    assert len(own_nodes) == 2
    lost, node = await on_own_node(running, witness, namespace)
    (pod,) = witness.of_job(lost.job_uid)
    assert pod.started_at is not None
    beat_at = Instant((pod.started_at + BEAT_SECONDS) * MS_PER_SECOND)
    await write_last_beat(api, node, beat_at)
    await passed(beat_at)

    await api.delete(f"/api/v1/nodes/{node}")

    await assert_lost_and_running_again(running, witness, lost, node, beat_at)


async def test_a_job_of_kubectl_that_fails_with_its_node_runs_again_as_its_author_wrote_it(
    running: Running,
    witness: Witness,
    api: ApiClient,
    control_plane: ControlPlane,
    namespace: str,
    own_nodes: tuple[NodeName, NodeName],
) -> None:
    assert len(own_nodes) == 2
    first, node = await applied_and_lost(running, witness, api, control_plane, theirs("train", namespace))

    again = await eventually(
        lambda: taken_in(running), lambda seen: (seen.state, seen.retries) == (WorkloadState.RUNNING, 1), GONE_SECONDS
    )
    assert (again.id, again.job_name) == (first.id, "train-2")
    lost, second = running.attempts(first.id)
    assert (lost.stop_reason, lost.charged_gpu_ms) == (Reason.NODE_LOST, BEAT_SECONDS * MS_PER_SECOND)
    assert [seen.attempt for seen in witness.of_job(again.job_uid)] == [second.id]
    assert [name for name, _ in second.placement.pods_by_node] != [node]
    written = await api.get(f"{jobs(namespace)}/train-2")
    template = written["spec"]["template"]
    assert template["spec"]["containers"][0]["env"] == [{"name": "SEED", "value": "7"}]
    assert written["metadata"]["annotations"]["allot.dev/author"] == "allot-dev-admin"
    assert (written["metadata"]["labels"]["stage"], template["metadata"]["labels"]["stage"]) == ("draft", "draft")
    assert await taken_in(running) == again, "nobody took the next one in as another workload"
    await running.cancel("ada", first.id)
    await running.until(first.id, WorkloadState.CANCELLED)
    running.assert_settled(first.id)


async def test_a_job_of_kubectl_that_spares_pods_lost_with_their_node_runs_again_itself(
    running: Running,
    witness: Witness,
    api: ApiClient,
    control_plane: ControlPlane,
    namespace: str,
    own_nodes: tuple[NodeName, NodeName],
) -> None:
    assert len(own_nodes) == 2
    sparing = theirs("train", namespace)
    condition = {"type": "DisruptionTarget", "status": "True"}
    sparing["spec"]["podFailurePolicy"] = {"rules": [{"action": "Ignore", "onPodConditions": [condition]}]}
    first, node = await applied_and_lost(running, witness, api, control_plane, sparing)

    async def progress() -> tuple[int, WorkloadState]:
        return len(running.attempts(first.id)), (await taken_in(running)).state

    await eventually(progress, lambda seen: seen == (2, WorkloadState.RUNNING), GONE_SECONDS)
    again = await taken_in(running)
    lost, second = running.attempts(first.id)
    assert (again.job_uid, again.job_name, again.retries) == (first.job_uid, "train", 0)
    assert (lost.stop_reason, lost.charged_gpu_ms) == (Reason.NODE_LOST, BEAT_SECONDS * MS_PER_SECOND)
    assert [name for name, _ in second.placement.pods_by_node] != [node]
    await running.cancel("ada", first.id)
    await running.until(first.id, WorkloadState.CANCELLED)
    running.assert_settled(first.id)


async def applied_and_lost(
    running: Running, witness: Witness, api: ApiClient, control_plane: ControlPlane, job: Json
) -> tuple[Workload, NodeName]:
    """What Ada applied, taken in and running when its node was deleted, and that node. Its last beat is known."""
    namespace = job["spec"]["template"]["spec"]["nodeSelector"][OWN]
    await api.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": {"allot.dev/managed": "true"}}})
    await stamp_authors(api, namespace)
    await let_edit(api, namespace, "ada")
    async with ApiClient.from_kubeconfig(kubeconfig_of(control_plane, "ada")) as ada:
        await ada.post(jobs(namespace), job)
    first = await eventually(lambda: taken_in(running), lambda seen: seen.state is WorkloadState.RUNNING)
    (pod,) = witness.of_job(first.job_uid)
    assert pod.started_at is not None
    await write_last_beat(api, NodeName(pod.node), Instant((pod.started_at + BEAT_SECONDS) * MS_PER_SECOND))
    await api.delete(f"/api/v1/nodes/{pod.node}")
    return first, NodeName(pod.node)


def jobs(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def theirs(name: str, namespace: str) -> Json:
    container = {
        "name": "main",
        "image": IMAGE,
        "env": [{"name": "SEED", "value": "7"}],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    pod_spec = {"restartPolicy": "Never", "containers": [container], "nodeSelector": {OWN: namespace}}
    words = {"allot.dev/project": "aurora", "allot.dev/gpu-classes": "T4", "allot.dev/time-limit": "1h"}
    return {
        "metadata": {"name": name, "labels": {**words, "stage": "draft"}},
        "spec": {"suspend": True, "template": {"metadata": {"labels": {"stage": "draft"}}, "spec": pod_spec}},
    }


async def taken_in(running: Running) -> Workload:
    """The one workload that there is."""

    async def there_are() -> list[Workload]:
        return list(running.service.world.workloads.values())

    (workload,) = await eventually(there_are, bool)
    return workload
