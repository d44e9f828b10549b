"""The service with the rights that manifests/ gives it, and with those alone, for people who use nothing but kubectl."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.domain.brakes import Brake
from scheduler.domain.cluster import Node
from scheduler.domain.people import Caller, Role
from scheduler.domain.reasons import Reason
from scheduler.domain.units import NodeName
from scheduler.domain.workloads import WorkloadState
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from tests.controlplane.planes import kubeconfig_of
from tests.e2e.running import Running, Site
from tests.e2e.witness import Witness
from tests.plugins.deployed import GROUPS, SERVICE, Kubectl, kubectl_job
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

OPERATOR = Caller("olga", frozenset({Role.OPERATOR}))
CPU_ONLY = {"name": "main", "image": "registry.example/train:1", "resources": {"limits": {"cpu": "1"}}}


@pytest.fixture
async def deployed(site: Site, control_plane: ControlPlane, managed: str) -> AsyncIterator[Running]:
    assert managed == site.namespace
    running = await Running.start(replace(site, kubeconfig=kubeconfig_of(control_plane, SERVICE, *GROUPS)))
    yield running
    await running.close()


@pytest.fixture
async def strict(site: Site, control_plane: ControlPlane, managed: str) -> AsyncIterator[Running]:
    """Where one workload of each may be queued, and any that runs into a weekend is asked about."""
    assert managed == site.namespace
    policy = site.folder / "policy.yaml"
    longer = policy.read_text().replace("time_limit_max_hours: 8", "time_limit_max_hours: 250")
    policy.write_text(longer + "limits: {queued_per_engineer: 1, confirm_weekend_per_mille: 0}\n")
    running = await Running.start(replace(site, kubeconfig=kubeconfig_of(control_plane, SERVICE, *GROUPS)))
    yield running
    await running.close()


@pytest.fixture
def ada(control_plane: ControlPlane, kubectl: Kubectl, managed: str) -> Path:
    """Her kubeconfig: she may edit the namespace, as an engineer may."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "ada", "namespace": managed},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ada"}],
    }
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(binding))
    return kubeconfig_of(control_plane, "ada", "system:authenticated")


async def test_a_job_applied_with_kubectl_is_taken_in_launched_and_charged_to_its_author(
    deployed: Running, witness: Witness, kubectl: Kubectl, api: ApiClient, managed: str, ada: Path
) -> None:
    manifest = kubectl_job("ada-trains", project="aurora", command=("sleep", "2"))

    kubectl("-n", managed, "apply", "-f", "-", stdin=yaml.safe_dump(manifest), kubeconfig=ada)

    taken = await eventually(lambda: _taken_in(deployed, managed, "ada-trains"), lambda found: found is not None)
    assert taken is not None
    ended = await deployed.until(taken, WorkloadState.COMPLETED)
    assert ended.owner == deployed.engineer("ada").id
    (pod,) = witness.of_job(ended.job_uid)
    assert deployed.charged(taken)[1] == pod.gpu_seconds * 1000
    deployed.assert_settled(taken)

    async def told() -> str:
        stored = await api.get(f"/apis/batch/v1/namespaces/{managed}/jobs/ada-trains")
        return str(stored["metadata"]["annotations"].get("allot.dev/status"))

    assert await eventually(told, lambda status: status == "Completed.") == "Completed."


async def test_a_job_that_a_cronjob_makes_is_its_authors_as_if_they_had_applied_it(
    deployed: Running, witness: Witness, kubectl: Kubectl, api: ApiClient, managed: str, ada: Path
) -> None:
    job = kubectl_job("nightly", {"allot.dev/author": "bao"}, project="aurora", command=("sleep", "2"))
    made = {"metadata": {each: job["metadata"][each] for each in ("labels", "annotations")}, "spec": job["spec"]}
    nightly = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {"schedule": "* * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": made},
    }
    kubectl("-n", managed, "apply", "-f", "-", stdin=yaml.safe_dump(nightly), kubeconfig=ada)
    # So its controller makes the Job that was due at the last full minute, at once.
    was_due = {"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}}
    path = f"/apis/batch/v1/namespaces/{managed}/cronjobs/nightly"
    await api.patch(f"{path}/status", was_due)
    jobs = await eventually(lambda: api.items(f"/apis/batch/v1/namespaces/{managed}/jobs"), bool)
    await api.patch(path, {"spec": {"suspend": True}})

    name = jobs[0]["metadata"]["name"]
    taken = await eventually(lambda: _taken_in(deployed, managed, name), lambda found: found is not None)
    ended = await deployed.until(taken, WorkloadState.COMPLETED)
    assert ended.owner == deployed.engineer("ada").id
    (pod,) = witness.of_job(ended.job_uid)
    assert deployed.charged(taken)[1] == pod.gpu_seconds * 1000
    deployed.assert_settled(taken)


async def test_a_job_that_cannot_be_taken_in_gets_an_event_that_says_why(
    deployed: Running, kubectl: Kubectl, api: ApiClient, managed: str, ada: Path
) -> None:
    manifest = kubectl_job("ada-overreaches", project="no-such-project")

    kubectl("-n", managed, "apply", "-f", "-", stdin=yaml.safe_dump(manifest), kubeconfig=ada)

    events = await eventually(lambda: _events(api, managed), bool)
    assert [event["reason"] for event in events] == [Reason.REFUSED]
    assert "no-such-project" in events[0]["note"]
    stored = yaml.safe_load(kubectl("-n", managed, "get", "job/ada-overreaches", "-o", "yaml", kubeconfig=ada))
    assert stored["spec"]["suspend"] is True
    assert stored["metadata"]["annotations"]["allot.dev/status"] == events[0]["note"]


async def test_a_job_that_its_author_would_set_going_past_the_ledger_is_launched_and_charged_as_any_other(
    deployed: Running, witness: Witness, kubectl: Kubectl, managed: str, ada: Path
) -> None:
    forged = {"allot.dev/attempt": "a-forged", "allot.dev/workload": "w-forged"}
    manifest = kubectl_job("ada-helps-herself", annotations=forged, project="aurora", command=("sleep", "2"))
    del manifest["spec"]["suspend"]
    manifest["spec"]["template"]["metadata"] = {"annotations": forged}

    kubectl("-n", managed, "apply", "-f", "-", stdin=yaml.safe_dump(manifest), kubeconfig=ada)

    taken = await eventually(lambda: _taken_in(deployed, managed, "ada-helps-herself"), bool)
    ended = await deployed.until(taken, WorkloadState.COMPLETED)
    (pod,) = witness.of_job(ended.job_uid)
    assert [pod.attempt] == [attempt.id for attempt in deployed.attempts(taken)]
    assert deployed.charged(taken)[1] == pod.gpu_seconds * 1000
    deployed.assert_settled(taken)


async def test_a_job_set_going_past_the_ledger_where_nothing_forbids_it_is_outside_whatever_it_says_of_itself(
    running: Running, kubectl: Kubectl, api: ApiClient, namespace: str, own_nodes: tuple[NodeName, NodeName]
) -> None:
    """The namespace has no label, so that no policy of manifests/ is in force there."""
    name = own_nodes[0]
    forged = {"allot.dev/attempt": "a-forged", "allot.dev/workload": "w-forged"}
    manifest = kubectl_job("ada-helps-herself", annotations=forged, project="aurora", command=("sleep", "3600"))
    manifest["spec"]["suspend"] = False
    template = manifest["spec"]["template"]
    template["metadata"] = {"annotations": forged}
    template["spec"]["nodeSelector"] = {"kubernetes.io/hostname": name}
    template["spec"]["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    world = running.service.world

    async def node() -> Node | None:
        return world.nodes.get(name)

    before = await eventually(node, lambda seen: seen is not None)

    kubectl("-n", namespace, "apply", "-f", "-", stdin=yaml.safe_dump(manifest))

    taken = await eventually(node, lambda seen: seen is not None and seen.outside_gpus == 1)
    assert taken is not None
    assert taken.gpus == 7
    events = await eventually(lambda: _events(api, namespace), bool)
    assert [event["reason"] for event in events] == [Reason.REFUSED]
    assert "write `suspend: true`" in events[0]["note"]
    assert await _taken_in(running, namespace, "ada-helps-herself") is None
    kubectl("-n", namespace, "delete", "job/ada-helps-herself")
    await eventually(node, lambda seen: seen == before)


async def test_more_jobs_than_may_be_queued_wait_suspended_with_the_reason_and_come_in_as_others_go(
    strict: Running, kubectl: Kubectl, api: ApiClient, managed: str, ada: Path
) -> None:
    service = strict.service
    await asyncio.to_thread(service.administration.pause, OPERATOR, Brake.LAUNCH, "a test", now=service.clock.now())
    manifests = [kubectl_job(name, project="aurora", command=("sleep", "1")) for name in ("first", "second")]
    for manifest in manifests:
        kubectl("-n", managed, "apply", "-f", "-", stdin=yaml.safe_dump(manifest), kubeconfig=ada)
    told = await eventually(
        lambda: _events(api, managed), lambda found: any(each["reason"] == Reason.QUEUE_FULL for each in found)
    )
    (waits,) = [each for each in told if each["reason"] == Reason.QUEUE_FULL]
    outside = str(waits["regarding"]["name"])
    stored = await api.get(f"/apis/batch/v1/namespaces/{managed}/jobs/{outside}")
    assert stored["spec"]["suspend"] is True
    assert "It comes in by itself" in stored["metadata"]["annotations"]["allot.dev/status"]

    await asyncio.to_thread(service.administration.resume_brake, OPERATOR, Brake.LAUNCH, now=service.clock.now())

    for name in ("first", "second"):
        taken = await eventually(partial(_taken_in, strict, managed, name), bool)
        await strict.until(taken, WorkloadState.COMPLETED)


async def test_work_that_runs_into_a_weekend_is_asked_about_and_taken_in_once_its_author_says_so(
    strict: Running, kubectl: Kubectl, api: ApiClient, managed: str, ada: Path
) -> None:
    manifest = kubectl_job("a-week", project="aurora", command=("sleep", "2"))
    manifest["metadata"]["labels"]["allot.dev/time-limit"] = "8d"
    manifest["metadata"]["annotations"] = {"allot.dev/gpu-classes": "L4"}
    kubectl("-n", managed, "apply", "-f", "-", stdin=yaml.safe_dump(manifest), kubeconfig=ada)
    (event,) = await eventually(lambda: _events(api, managed), bool)
    assert event["note"].endswith("(confirmation-needed).")
    command = event["note"].split("`")[1].split()
    assert command[:3] == ["kubectl", "annotate", "job"]
    assert await _taken_in(strict, managed, "a-week") is None

    kubectl(*command[1:], kubeconfig=ada)

    taken = await eventually(lambda: _taken_in(strict, managed, "a-week"), bool)
    await strict.until(taken, WorkloadState.COMPLETED)
    strict.assert_settled(taken)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param({"restartPolicy": "OnFailure"}, "restartPolicy is not Never", id="restarts"),
        pytest.param({"nodeName": "simulated-l4-0"}, "allot chooses the node", id="names a node"),
        pytest.param({"containers": [CPU_ONLY]}, "asks for no GPU", id="asks for no GPU"),
    ],
)
async def test_a_job_without_what_is_needed_gets_an_event_that_says_what(
    deployed: Running, kubectl: Kubectl, api: ApiClient, managed: str, ada: Path, broken: dict[str, Any], said: str
) -> None:
    assert deployed.service.world.policy is not None
    manifest = kubectl_job("ada-errs", project="aurora")
    manifest["spec"]["template"]["spec"].update(broken)

    kubectl("-n", managed, "apply", "-f", "-", stdin=yaml.safe_dump(manifest), kubeconfig=ada)

    events = await eventually(lambda: _events(api, managed), bool)
    assert [(event["type"], event["reason"]) for event in events] == [("Warning", Reason.REFUSED)]
    assert said in events[0]["note"]


async def _taken_in(running: Running, namespace: str, name: str) -> Any:
    with running.service.store.reading() as books:
        stored = books.workloads.page(limit=1_000)
    return next((each.id for each in stored if (each.namespace, each.job_name) == (namespace, name)), None)


async def _events(api: ApiClient, namespace: str) -> list[dict[str, Any]]:
    events = await api.items(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    return [event for event in events if event.get("reportingController") == "allot.dev/scheduler"]
