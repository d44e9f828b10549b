"""Other hands in the cluster: people who flip, delete and force, work that is not ours, an apiserver that goes away."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.domain.brakes import Brake
from scheduler.domain.people import Caller, Role
from scheduler.domain.reasons import Reason
from scheduler.domain.units import NodeName
from scheduler.domain.workloads import WorkloadState
from scheduler.entrypoints.devcluster import simulated
from scheduler.entrypoints.devcluster.client import ApiClient, Json
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options
from scheduler.entrypoints.devcluster.nodes import default_nodes
from tests.controlplane.jobs import seconds, terminated
from tests.controlplane.outage import apiserver_again, kill_apiserver
from tests.e2e.company import H100_NODE_GPUS, PEOPLE, POLICY, own_h100s
from tests.e2e.ending import end_running_pods
from tests.e2e.running import Running, Site
from tests.e2e.witness import Witness
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

OPERATOR = Caller("olga", frozenset({Role.OPERATOR}))
_S = WorkloadState


def job_path(namespace: str, name: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}"


async def test_a_running_job_that_somebody_suspends_is_charged_and_runs_again(
    running: Running, witness: Witness, api: ApiClient, namespace: str
) -> None:
    workload = await running.submit("ada", "sleep", "3600")
    await running.until(workload.id, _S.RUNNING)
    await api.patch(job_path(namespace, workload.job_name), {"spec": {"suspend": True}})

    async def attempts() -> int:
        return len(running.attempts(workload.id))

    await eventually(attempts, lambda count: count == 2)
    await running.until(workload.id, _S.RUNNING)
    await end_running_pods(api, namespace)
    ended = await running.until(workload.id, _S.COMPLETED)
    first, second = witness.of_job(ended.job_uid)
    assert [pod.attempt for pod in (first, second)] == [attempt.id for attempt in running.attempts(workload.id)]
    assert Reason.SUSPENDED in running.reasons(workload.id)
    assert running.charged(workload.id)[1] == (first.gpu_seconds + second.gpu_seconds) * 1000
    running.assert_settled(workload.id)


async def test_a_gang_that_somebody_makes_larger_is_put_back_and_what_ran_beyond_it_is_charged(
    running: Running, witness: Witness, api: ApiClient, namespace: str
) -> None:
    workload = await running.submit("ada", "sleep", "3600", pods=2)
    await running.until(workload.id, _S.RUNNING)
    path = job_path(namespace, workload.job_name)
    await api.patch(path, {"spec": {"parallelism": 3, "completions": 3}})

    async def size_and_live_pods() -> tuple[int, int]:
        size = int((await api.get(path))["spec"]["completions"])
        return size, sum(not pod.has_ended for pod in witness.pods.values())

    await eventually(size_and_live_pods, lambda seen: seen == (2, 2))
    await end_running_pods(api, namespace)
    ended = await running.until(workload.id, _S.COMPLETED)
    assert running.charged(workload.id)[1] == sum(p.gpu_seconds for p in witness.of_job(ended.job_uid)) * 1000
    running.assert_settled(workload.id)


async def test_a_queued_job_that_somebody_sets_going_is_suspended_and_launched_in_its_turn(
    running: Running, witness: Witness, api: ApiClient, namespace: str
) -> None:
    service = running.service
    await asyncio.to_thread(service.administration.pause, OPERATOR, Brake.LAUNCH, "a test", now=service.clock.now())
    workload = await running.submit("ada", "sleep", "3600")

    async def job_uid() -> str | None:
        return (await running.workload(workload.id)).job_uid

    await eventually(job_uid, bool)
    await api.patch(job_path(namespace, workload.job_name), {"spec": {"suspend": False}})

    async def is_at_rest() -> bool:
        pods = witness.pods.values()
        return len(pods) == 1 and all(pod.has_ended for pod in pods)

    await eventually(is_at_rest, bool)
    assert running.charged(workload.id) == (0, 0)
    await asyncio.to_thread(service.administration.resume_brake, OPERATOR, Brake.LAUNCH, now=service.clock.now())
    await running.until(workload.id, _S.RUNNING)
    await end_running_pods(api, namespace)
    ended = await running.until(workload.id, _S.COMPLETED)
    (of_nobody, ours) = sorted(witness.of_job(ended.job_uid), key=lambda pod: pod.attempt)
    assert of_nobody.attempt == ""
    assert running.charged(workload.id)[1] == ours.gpu_seconds * 1000
    running.assert_settled(workload.id)


@pytest.mark.parametrize("policy", ["Foreground", "Background"])
async def test_a_job_deleted_under_way_is_charged_and_its_hold_resolved(
    running: Running, witness: Witness, api: ApiClient, namespace: str, policy: str
) -> None:
    workload = await running.submit("ada", "sleep", "3600")
    await running.until(workload.id, _S.RUNNING)
    await api.delete(job_path(namespace, workload.job_name), {"propagationPolicy": policy})
    ended = await running.until(workload.id, _S.CANCELLED)
    (pod,) = witness.of_job(ended.job_uid)
    assert running.reasons(workload.id)[-1] is Reason.JOB_DELETED
    assert running.charged(workload.id)[1] == pod.gpu_seconds * 1000
    running.assert_settled(workload.id)


async def test_a_deleted_job_that_a_finalizer_keeps_is_ended_with_its_pods_and_never_launched_again(
    running: Running, witness: Witness, api: ApiClient, namespace: str
) -> None:
    service = running.service
    begun = await running.submit("ada", "sleep", "3600")
    await running.until(begun.id, _S.RUNNING)
    await asyncio.to_thread(service.administration.pause, OPERATOR, Brake.LAUNCH, "a test", now=service.clock.now())
    waiting = await running.submit("ada", "sleep", "1")
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    await eventually(lambda: api.items(jobs), lambda found: len(found) == 2)
    for workload in (begun, waiting):
        path = job_path(namespace, workload.job_name)
        await api.patch(path, {"metadata": {"finalizers": ["example.com/never"]}})
        await api.delete(path, {"propagationPolicy": "Background"})

    await running.until(waiting.id, _S.CANCELLED)
    ended = await running.until(begun.id, _S.CANCELLED)

    kept = await api.items(jobs)
    (pod,) = witness.of_job(ended.job_uid)
    assert len(kept) == 2
    assert running.charged(begun.id)[1] == pod.gpu_seconds * 1000
    for workload in (begun, waiting):
        running.assert_settled(workload.id)
        await api.patch(job_path(namespace, workload.job_name), {"metadata": {"finalizers": None}})


async def test_the_job_of_a_waiting_workload_deleted_calls_it_off(
    running: Running, api: ApiClient, namespace: str
) -> None:
    service = running.service
    await asyncio.to_thread(service.administration.pause, OPERATOR, Brake.LAUNCH, "a test", now=service.clock.now())
    workload = await running.submit("ada", "sleep", "1")
    await eventually(lambda: api.items(f"/apis/batch/v1/namespaces/{namespace}/jobs"), lambda jobs: len(jobs) == 1)
    await api.delete(job_path(namespace, workload.job_name))
    await running.until(workload.id, _S.CANCELLED)
    running.assert_settled(workload.id)


async def test_a_pod_deleted_by_force_ends_its_attempt_at_once(
    running: Running, witness: Witness, api: ApiClient, namespace: str
) -> None:
    workload = await running.submit("ada", "sleep", "3600")
    begun = await running.until(workload.id, _S.RUNNING)
    (pod,) = witness.of_job(begun.job_uid)
    await api.delete(f"/api/v1/namespaces/{namespace}/pods/{pod.name}", {"gracePeriodSeconds": 0})
    await running.until(workload.id, _S.FAILED)
    running.assert_settled(workload.id)
    (attempt,) = running.attempts(workload.id)
    assert attempt.ended_at is not None
    # Kubernetes stamps whole seconds: an end may be stamped before the submission of the same second.
    assert running.charged(workload.id)[1] <= max(0, attempt.ended_at - begun.submitted_at) + 1000


async def test_a_namespace_deleted_with_everything_in_it_resolves_every_hold(site: Site, api: ApiClient) -> None:
    doomed = f"{site.namespace}-doomed"
    await api.post("/api/v1/namespaces", {"metadata": {"name": doomed}})
    running = await Running.start(replace(site, namespace=doomed))
    workloads = [await running.submit("ada", "sleep", "3600") for _ in range(3)]
    for workload in workloads:
        await running.until(workload.id, _S.RUNNING)
    await api.delete(f"/api/v1/namespaces/{doomed}")
    try:
        for workload in workloads:
            # Its pods go first, which fails a Job that is still there to see it.
            await running.until(workload.id, _S.CANCELLED, _S.FAILED)
            running.assert_settled(workload.id)
    finally:
        await running.close()


async def test_pods_that_are_not_ours_take_capacity_and_show_as_outside(
    running: Running, api: ApiClient, namespace: str
) -> None:
    name = own_h100s(namespace)[0]
    pods = "/api/v1/namespaces/default/pods"
    foreign = await api.post(pods, foreign_pod(f"foreign-{namespace}", name, gpus=3))

    async def outside() -> tuple[int, int]:
        node = running.service.world.nodes[name]
        return node.outside_gpus, node.gpus

    await eventually(outside, lambda seen: seen == (3, H100_NODE_GPUS - 3))
    view = running.service.views.cluster(OPERATOR, running.service.clock.now())
    shown = next(node for node in view.nodes if node.name == name)
    assert shown.outside == 3
    await api.delete(f"{pods}/{foreign['metadata']['name']}", {"gracePeriodSeconds": 0})
    await eventually(outside, lambda seen: seen == (0, H100_NODE_GPUS))


async def test_an_apiserver_that_goes_away_ends_nothing_and_launches_nothing_until_it_is_back(
    new_control_plane: Callable[[Options], ControlPlane], tmp_path: Path
) -> None:
    plane = await asyncio.to_thread(new_control_plane, Options(default_nodes()))
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "people.yaml").write_text(PEOPLE)
    async with plane.client() as api:
        await api.post("/api/v1/namespaces", {"metadata": {"name": "team"}})
    running = await Running.start(Site(tmp_path, plane.kubeconfig, "team"))
    first = await running.submit("ada", "sleep", "20")
    begun = await running.until(first.id, _S.RUNNING)

    command = await kill_apiserver(plane)

    async def is_reachable() -> bool:
        return running.service.cluster.is_reachable

    await eventually(is_reachable, lambda seen: not seen)
    second = await running.submit("ada", "sleep", "1")
    assert (await running.workload(first.id)).state is _S.RUNNING
    try:
        with apiserver_again(plane, command):
            assert running.attempts(second.id) == []
            await eventually(is_reachable, bool)
            await running.until(first.id, _S.COMPLETED)
            await running.until(second.id, _S.COMPLETED)
            async with plane.client() as api:
                pods = await api.items("/api/v1/namespaces/team/pods")
        ran = {pod["metadata"]["ownerReferences"][0]["name"]: _ran_seconds(pod) for pod in pods}
        assert set(ran) == {first.job_name, second.job_name}
        for workload in (first, second):
            assert running.charged(workload.id)[1] == ran[workload.job_name] * 1000
            running.assert_settled(workload.id)
        assert begun.job_uid == (await running.workload(first.id)).job_uid
    finally:
        await running.close()


def foreign_pod(name: str, node: NodeName, gpus: int) -> Json:
    container = {"name": "main", "image": "foreign", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
    return {
        "metadata": {"name": name, "annotations": {simulated.TERMINATION_SECONDS: "0"}},
        "spec": {
            "containers": [container],
            "nodeSelector": {"kubernetes.io/hostname": node},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        },
    }


def _ran_seconds(pod: Json) -> int:
    end = terminated(pod)
    return seconds(end["finishedAt"]) - seconds(end["startedAt"])
