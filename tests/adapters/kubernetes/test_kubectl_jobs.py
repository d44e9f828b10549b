"""Jobs that somebody applied, and pods and nodes that are not ours, on the real control plane."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scheduler.adapters.kubernetes.cluster import ClusterSettings, KubernetesCluster
from scheduler.adapters.kubernetes.stamps import micro_time
from scheduler.domain.actions import ActionResult, SuspendJob, TellJob
from scheduler.domain.cluster import GpuClass
from scheduler.domain.observations import ObservedJob
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_SECOND, GpuClassName, Instant, NodeName, PerMille
from scheduler.domain.workloads import Origin, Workload
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.simulated import NOT_READY
from tests.adapters.kubernetes.conftest import CLASSES, H100, H100_NODES, own_class, settings_for
from tests.contracts.cluster_contract import ClusterRig, Seen
from tests.plugins.polling import DEADLINE_SECONDS

pytestmark = pytest.mark.controlplane

NewCluster = Callable[[ClusterSettings], KubernetesCluster]


def jobs(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def theirs(name: str, *, pods: int = 1, **pod: Any) -> dict[str, Any]:
    """A Job as a user writes it: their affinity, their tolerations, Kubernetes' own backoff limit."""
    return {
        "metadata": {"name": name, "labels": {"allot.dev/project": "atlas", "allot.dev/time-limit": "1h"}},
        "spec": {
            "suspend": True,
            "parallelism": pods,
            "completions": pods,
            "completionMode": "Indexed" if pods > 1 else "NonIndexed",
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 1,
                    "containers": [
                        {"name": "main", "image": "train:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
                    ],
                    **pod,
                }
            },
        },
    }


async def taken_in(rig: ClusterRig, api: ApiClient, raw: dict[str, Any]) -> tuple[Workload, ObservedJob]:
    """Apply the Job; the workload that the lifecycle makes of what is read."""
    name = raw["metadata"]["name"]
    await api.post(jobs(rig.namespace), raw)
    seen = await rig.until(lambda seen: seen.job_named(name) is not None)
    job = seen.job_named(name)
    assert job is not None
    assert job.asked is not None, job.unfit
    workload = replace(rig.workload(name), spec=job.asked, origin=Origin.KUBECTL, job_uid=job.uid)
    return workload, job


_ZONED = {"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["zone-a"]}]}


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param({}, id="as most are written"),
        pytest.param({"affinity": {}}, id="with an affinity that says nothing"),
        pytest.param(
            {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_ZONED]}
                    }
                }
            },
            id="with an affinity",
        ),
    ],
)
async def test_a_job_of_kubectl_is_launched_suspended_and_launched_elsewhere(
    rig: ClusterRig, api: ApiClient, pod: dict[str, Any]
) -> None:
    workload, job = await taken_in(rig, api, theirs("w-theirs", **pod))

    places = []
    for node in reversed(H100_NODES):  # of two that are empty, the kube-scheduler may choose either
        launched = await rig.launch(rig.launching(workload, job, (node, 1)))
        assert launched.result is ActionResult.DONE, launched.message
        await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 1)
        places.append(rig.seen.running_pods(job.uid)[0].node)
        stored = (await api.get(f"{jobs(rig.namespace)}/w-theirs"))["spec"]["template"]["spec"]["affinity"]
        (term,) = stored["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        assert term["matchFields"] == [{"key": "metadata.name", "operator": "In", "values": [node]}]
        await rig.do(SuspendJob(workload, job.uid, Reason.PREEMPTED))
        await rig.until(lambda seen: seen.is_free(job.uid))

    assert tuple(places) == H100_NODES[::-1]
    stored = (await api.get(f"{jobs(rig.namespace)}/w-theirs"))["spec"]
    assert (stored["backoffLimit"], stored["podReplacementPolicy"]) == (0, "Failed")


@pytest.mark.parametrize("annotations", [None, {"theirs": "kept"}, {"theirs": "kept", "allot.dev/placement": "z=9"}])
async def test_the_apiserver_makes_of_a_launch_what_is_said_of_it(
    rig: ClusterRig, api: ApiClient, annotations: dict[str, str] | None
) -> None:
    """Where it stood before, whatever it says of itself: what is theirs stays, what is ours is as we say now."""
    preferred = [{"weight": 1, "preference": {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}}]
    raw = theirs(
        "w-merged",
        affinity={
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": preferred,
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_ZONED]},
            }
        },
        schedulingGates=[{"name": "allot.dev/placement"}] if annotations else [],
        tolerations=[{"key": "spot", "operator": "Exists"}],
    )
    if annotations is not None:
        raw["spec"]["template"]["metadata"] = {"annotations": annotations}
    workload, job = await taken_in(rig, api, raw)

    for node in H100_NODES:
        launched = await rig.launch(rig.launching(workload, job, (node, 1)))
        assert launched.result is ActionResult.DONE, launched.message
        stored = await api.get(f"{jobs(rig.namespace)}/w-merged")
        template, pod = stored["spec"]["template"], stored["spec"]["template"]["spec"]
        assert template["metadata"]["annotations"] == {
            **({"theirs": "kept"} if annotations else {}),
            "allot.dev/attempt": "w-merged-a1",
            "allot.dev/placement": f"{node}=1",
        }
        pin = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        assert pod["affinity"] == {
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": preferred,
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{**_ZONED, **pin}]},
            }
        }
        assert not pod.get("schedulingGates")
        assert [each["key"] for each in pod["tolerations"]] == ["spot", "nvidia.com/gpu"]
        assert template["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "w-merged", "the apiserver's own"
        assert "managedFields" not in stored["metadata"]
        await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 1)
        await rig.do(SuspendJob(workload, job.uid, Reason.PREEMPTED))
        await rig.until(lambda seen: seen.is_free(job.uid))


async def test_who_applied_a_job_server_side_keeps_its_fields_and_of_others_none_are_kept(
    rig: ClusterRig, api: ApiClient
) -> None:
    created, created_job = await taken_in(rig, api, theirs("w-created"))
    path = f"{jobs(rig.namespace)}/w-applied"
    applied = {"apiVersion": "batch/v1", "kind": "Job", **theirs("w-applied")}
    applied["metadata"]["labels"]["stage"] = "draft"
    await api.patch(path, applied, "application/apply-patch+yaml", fieldManager="theirs")
    seen = await rig.until(lambda seen: seen.job_named("w-applied") is not None)
    applied_job = seen.job_named("w-applied")
    assert applied_job is not None
    assert applied_job.asked is not None
    workload = replace(
        rig.workload("w-applied"), spec=applied_job.asked, origin=Origin.KUBECTL, job_uid=applied_job.uid
    )

    for launched, job in ((created, created_job), (workload, applied_job)):
        outcome = await rig.launch(rig.launching(launched, job, (H100_NODES[0], 1)))
        assert outcome.result is ActionResult.DONE, outcome.message
        await rig.until(lambda seen, uid=job.uid: len(seen.running_pods(uid)) == 1)  # type: ignore[misc]

    stored = {each: await api.get(f"{jobs(rig.namespace)}/{each}") for each in ("w-created", "w-applied")}
    assert "managedFields" not in stored["w-created"]["metadata"]
    assert "theirs" in [each["manager"] for each in stored["w-applied"]["metadata"]["managedFields"]]
    del applied["spec"]["suspend"]  # ours since the launch
    del applied["metadata"]["labels"]["stage"]
    again = await api.patch(path, applied, "application/apply-patch+yaml", fieldManager="theirs")
    assert "stage" not in again["metadata"]["labels"], "what they leave out goes, because it is known to be theirs"


async def test_a_gang_of_kubectl_lands_where_it_was_placed(rig: ClusterRig, api: ApiClient) -> None:
    workload, job = await taken_in(rig, api, theirs("w-their-gang", pods=3))

    await rig.launch(rig.launching(workload, job, (H100_NODES[0], 2), (H100_NODES[1], 1)))
    await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 3)

    nodes = [pod.node for pod in rig.seen.running_pods(job.uid)]
    assert sorted(map(str, nodes)) == [H100_NODES[0], H100_NODES[0], H100_NODES[1]]


async def test_gates_that_were_shut_when_we_ended_are_opened_by_who_starts_next(
    new_cluster: NewCluster, api: ApiClient, namespace: str
) -> None:
    async def end_after(job: ObservedJob, seconds: int) -> None:
        raise AssertionError(f"{job.name} is not to end by itself after {seconds} s here")

    first = new_cluster(settings_for(namespace))
    await first.start()
    rig = ClusterRig(first, H100, H100_NODES, namespace, end_after)
    workload = rig.workload("w-gated", pods=2)
    job = await rig.created(workload)
    outcome = await rig.launch(rig.launching(workload, job, (H100_NODES[0], 1), (H100_NODES[1], 1)))
    await first.close()
    assert outcome.result is ActionResult.DONE

    second = new_cluster(settings_for(namespace))
    await second.start()
    try:
        rig = ClusterRig(second, H100, H100_NODES, namespace, end_after)
        await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 2)
    finally:
        await second.close()


async def test_a_refused_job_is_told_why_where_its_author_looks(
    rig: ClusterRig, api: ApiClient, namespace: str
) -> None:
    raw = theirs("w-unfit")
    raw["metadata"]["labels"].pop("allot.dev/project")
    await api.post(jobs(namespace), raw)
    seen = await rig.until(lambda seen: seen.job_named("w-unfit") is not None)
    job = seen.job_named("w-unfit")
    assert job is not None
    assert "allot.dev/project" in job.unfit

    outcome = await rig.do(TellJob(namespace, job.name, job.uid, Reason.REFUSED, job.unfit))

    assert outcome.result is ActionResult.DONE
    events = await api.items(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    (event,) = [event for event in events if event.get("reportingController") == "allot.dev/scheduler"]
    stored = await api.get(f"{jobs(namespace)}/w-unfit")
    assert (event["type"], event["reason"], event["note"]) == ("Warning", "Refused", job.unfit)
    assert event["regarding"]["uid"] == job.uid
    assert stored["metadata"]["annotations"]["allot.dev/status"] == job.unfit


async def test_labels_that_are_changed_on_a_waiting_job_are_seen_and_told_of_beside_its_status(
    rig: ClusterRig, api: ApiClient, namespace: str
) -> None:
    _, job = await taken_in(rig, api, theirs("w-relabelled"))
    path = f"{jobs(namespace)}/w-relabelled"

    await api.patch(path, {"metadata": {"labels": {"allot.dev/time-limit": "2h"}}})

    def is_relabelled(seen: Seen) -> bool:  # Kubernetes says of it meanwhile that it is suspended, too
        found = seen.job_named("w-relabelled")
        return found is not None and found.asked != job.asked

    changed = (await rig.until(is_relabelled)).job_named("w-relabelled")
    assert changed is not None
    assert changed.asked is not None
    assert job.asked is not None
    assert (changed.asked.time_limit_ms, changed.generation) == (2 * job.asked.time_limit_ms, job.generation)
    word = TellJob(namespace, job.name, job.uid, Reason.RELABELLED, "It changes nothing.", is_status=False)
    assert (await rig.do(word)).result is ActionResult.DONE
    events = await api.items(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    (event,) = [event for event in events if event["reason"] == "Relabelled"]
    assert (event["type"], event["regarding"]["uid"]) == ("Warning", job.uid)
    assert "allot.dev/status" not in ((await api.get(path))["metadata"].get("annotations") or {})


async def test_a_misuse_is_an_event_on_its_job_whose_status_stays(
    rig: ClusterRig, api: ApiClient, namespace: str
) -> None:
    job = await rig.created(rig.workload("w-astray"))
    await rig.do(TellJob(namespace, job.name, job.uid, Reason.RUNNING, "Running on n0."))
    said = "Its process 7 is on GPU-a of n0, which was not given to it."
    word = TellJob(namespace, job.name, job.uid, Reason.MISUSE, said, is_status=False)

    outcomes = [await rig.do(word), await rig.do(word)]

    assert [(outcome.result, outcome.job_uid) for outcome in outcomes] == [(ActionResult.DONE, job.uid)] * 2
    events = await api.items(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    (event,) = [event for event in events if event["reason"] == "Misuse"]
    assert (event["type"], event["note"], event["regarding"]["name"]) == ("Warning", said, job.name)
    stored = await api.get(f"{jobs(namespace)}/{job.name}")
    assert stored["metadata"]["annotations"]["allot.dev/status"] == "Running on n0."


async def test_a_pod_that_is_not_ours_takes_from_its_node_while_it_lives(
    rig: ClusterRig, cluster: KubernetesCluster, api: ApiClient, namespace: str, own_nodes: tuple[NodeName, NodeName]
) -> None:
    own, (node, _) = own_class(namespace), own_nodes
    cluster.use_gpu_classes({own.name: own})
    await rig.until(lambda seen: node in seen.nodes and seen.nodes[node].gpu_class == own.name)
    before = rig.seen.nodes[node]
    pod = {
        "metadata": {"name": "outsider"},
        "spec": {
            "nodeName": node,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "main",
                    "image": "any:1",
                    "resources": {"limits": {"nvidia.com/gpu": "3", "cpu": "2", "memory": "1Gi"}},
                }
            ],
        },
    }

    await api.post(f"/api/v1/namespaces/{namespace}/pods", pod)
    await rig.until(lambda seen: seen.nodes[node].outside_gpus == 3)
    during = rig.seen.nodes[node]
    await api.delete(f"/api/v1/namespaces/{namespace}/pods/outsider", {"gracePeriodSeconds": 0})
    await rig.until(lambda seen: seen.nodes[node] == before)

    assert (before.gpus - during.gpus, before.cpu_milli - during.cpu_milli) == (3, 2000)
    assert before.memory_mib - during.memory_mib == 1024


async def test_a_namespace_that_becomes_managed_brings_its_jobs(
    new_cluster: NewCluster, api: ApiClient, namespace: str
) -> None:
    await api.post(jobs(namespace), theirs("w-early"))
    cluster = new_cluster(replace(settings_for(namespace), namespaces=None))
    await cluster.start()
    try:
        first = await cluster.changes(5.0)
        labels = {"metadata": {"labels": {"allot.dev/managed": "true"}}}
        await api.patch(f"/api/v1/namespaces/{namespace}", labels)
        found: list[str] = []
        async with asyncio.timeout(DEADLINE_SECONDS):
            while "w-early" not in found:
                found += [job.name for job in (await cluster.changes(1.0)).jobs.values() if job]
    finally:
        await cluster.close()

    assert "w-early" not in [job.name for job in first.jobs.values() if job]


async def test_a_policy_with_other_classes_is_seen_at_once(rig: ClusterRig, cluster: KubernetesCluster) -> None:
    await rig.until(lambda seen: H100_NODES[0] in seen.nodes)
    before = rig.seen.nodes[H100_NODES[0]].gpu_class
    hopper = GpuClass(GpuClassName("hopper"), PerMille(1000), H100.node_selector)

    cluster.use_gpu_classes(
        {**CLASSES, H100.name: replace(H100, node_selector=(("none", "such"),)), hopper.name: hopper}
    )

    assert before == H100.name
    seen = await rig.until(lambda seen: seen.nodes[H100_NODES[0]].gpu_class == hopper.name)
    assert seen.nodes[H100_NODES[0]].gpus > 0, "the same node, of another class"


async def test_the_last_heartbeat_of_a_lost_node_is_evidence_that_its_pods_ran(
    rig: ClusterRig, cluster: KubernetesCluster, api: ApiClient, namespace: str, own_nodes: tuple[NodeName, NodeName]
) -> None:
    own, (fragile, _) = own_class(namespace), own_nodes
    cluster.use_gpu_classes({own.name: own})
    rig = replace(rig, gpu_class=own)
    await rig.until(lambda seen: fragile in seen.nodes)
    job = await rig.launched(rig.workload("w-on-fragile"), (fragile, 1))
    (pod,) = rig.seen.running_pods(job.uid)
    assert pod.started_at is not None
    beat = pod.started_at + 90 * MS_PER_SECOND
    lease = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{fragile}"
    renewed = {"spec": {"renewTime": _micro(beat)}}
    await _put_lease(api, lease, fragile, renewed)

    await api.patch(f"/api/v1/nodes/{fragile}", {"metadata": {"annotations": {NOT_READY: "true"}}})

    await rig.until(lambda seen: (seen.pods[pod.uid].evidence_at or 0) >= beat)
    assert not rig.seen.nodes[fragile].accepts_work
    assert not rig.seen.pods[pod.uid].has_ended


def _micro(instant: int) -> str:
    return micro_time(Instant(instant))


async def _put_lease(api: ApiClient, path: str, node: str, body: dict[str, Any]) -> None:
    """The kubelet's lease, which simulated nodes have none of: the test writes it."""
    found = [item["metadata"]["name"] for item in await api.items(path.rsplit("/", 1)[0])]
    if node in found:
        await api.patch(path, body)
    else:
        await api.post(path.rsplit("/", 1)[0], {"metadata": {"name": node}, **body})
