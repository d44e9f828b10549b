"""`--observe` on the real apiserver, with the right to read and no other: it says what it would do, and does nothing."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.domain.people import Caller, Role
from scheduler.domain.units import GpuClassName
from scheduler.domain.workloads import WorkloadState
from scheduler.entrypoints.devcluster.client import ApiClient, ApiRefused
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.memory.observed_only import Observed, Would
from tests.controlplane.planes import kubeconfig_of
from tests.e2e.running import Running, Site
from tests.e2e.witness import Witness
from tests.plugins.deployed import MANIFESTS, Kubectl, kubectl_job
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

OPERATOR = Caller("olga", frozenset({Role.OPERATOR}))
T4 = (GpuClassName("T4"),)
WATCHED = ("/apis/batch/v1/namespaces/{}/jobs", "/api/v1/namespaces/{}/pods", "/api/v1/namespaces/{}/events")


@pytest.fixture
def reader(control_plane: ControlPlane, kubectl: Kubectl, namespace: str) -> Path:
    """The kubeconfig of somebody who has what manifests/observer gives, and nothing beside it."""
    kubectl("apply", "-k", str(MANIFESTS / "observer"))
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"observer-of-{namespace}"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "allot-observer"}
    binding: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": subject["name"]},
        "roleRef": role,
        "subjects": [subject],
    }
    lease = {
        **binding,
        "kind": "RoleBinding",
        "metadata": {"name": subject["name"], "namespace": "kube-node-lease"},
        "roleRef": {**role, "kind": "Role"},
    }
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([binding, lease]))
    return kubeconfig_of(control_plane, subject["name"], "system:authenticated")


async def written(api: ApiClient, namespace: str) -> dict[str, Any]:
    """Everything that it could write, less what Kubernetes' own controllers go on noting: statuses, and their Events."""
    jobs, pods, events = [await api.items(path.format(namespace)) for path in WATCHED]
    ours = [event for event in events if event.get("reportingComponent") == "allot.dev/scheduler"]
    noted = {"resourceVersion", "managedFields"}
    return {
        item["metadata"]["uid"]: (
            {name: value for name, value in item["metadata"].items() if name not in noted},
            {name: value for name, value in item.items() if name not in {"metadata", "status"}},
        )
        for item in (*jobs, *pods, *ours)
    }


def feed(service: Service, would: Would) -> list[Observed]:
    assert service.world.observed is not None
    return [item for item in service.world.observed.items() if item.would is would]


async def names_found(service: Service) -> dict[Would, set[str]]:
    return {would: {item.workload_name for item in feed(service, would)} for would in Would}


@pytest.fixture
async def observing(
    site: Site, api: ApiClient, namespace: str, reader: Path, own_nodes: tuple[str, str]
) -> AsyncIterator[Running]:
    """It begins on the books of one that acted: off-peak work, the victim, runs on the only T4 that the pool has, and
    what is urgent may take it from what is not."""
    assert len(own_nodes) == 2
    policy = site.folder / "policy.yaml"
    one = policy.read_text().replace("T4: {nominal_gpus: 16}", "T4: {nominal_gpus: 1}")
    policy.write_text(one.replace("  research:\n", "  research:\n    within_pool: LowerPriority\n"))
    acting = await Running.start(site)
    asked = await acting.submit("ada", "sleep", "3600", gpu_classes=T4, priority_class="off-peak", name="victim")
    await acting.until(asked.id, WorkloadState.RUNNING)
    await acting.close()
    observing = await Running.start(replace(site, kubeconfig=reader), observe=True)
    yield observing
    await observing.close()


async def test_an_observer_says_what_it_would_launch_and_preempt_and_writes_nothing(
    observing: Running, api: ApiClient, namespace: str
) -> None:
    before = await written(api, namespace)
    assert before
    service = observing.service
    free = await observing.submit("ada", "sleep", "60", name="launches")
    urgent = await observing.submit("bao", "sleep", "60", gpu_classes=T4, priority_class="urgent", name="preempts")

    seen = await eventually(
        lambda: names_found(service),
        lambda seen: seen[Would.LAUNCH] >= {"launches", "preempts"} and seen[Would.PREEMPT] == {"victim"},
    )

    assert seen[Would.STOP] == seen[Would.SUSPEND] == set()
    (launch,) = (item for item in feed(service, Would.LAUNCH) if item.workload_id == free.id)
    assert launch.sentence.startswith("Would have launched 1 × H100 on ")
    view = service.views.observed(OPERATOR)
    assert {item.workload_name for item in view.items} >= {"victim", "launches", "preempts"}
    for waiting in (free, urgent):
        assert (await observing.workload(waiting.id)).state is WorkloadState.QUEUED
        assert observing.attempts(waiting.id) == []
    assert await written(api, namespace) == before


async def test_an_observer_says_what_it_would_charge_for_what_others_set_going(
    observing: Running, witness: Witness, api: ApiClient, namespace: str
) -> None:
    service = observing.service
    manifest = kubectl_job("theirs", {"allot.dev/author": "ada"}, project="aurora", command=("sleep", "3"))
    manifest["spec"]["template"]["spec"]["tolerations"] = [{"operator": "Exists"}]
    manifest["spec"]["template"]["spec"]["nodeSelector"] = {"nvidia.com/gpu.product": "NVIDIA-L4"}
    made = await api.post(WATCHED[0].format(namespace), manifest)
    await eventually(lambda: names_found(service), lambda seen: "theirs" in seen[Would.LAUNCH])

    await api.patch(f"{WATCHED[0].format(namespace)}/theirs", {"spec": {"suspend": False}})

    async def charge() -> tuple[int, bool]:
        """What it has come to, and whether that is final."""
        found = [item for item in feed(service, Would.CHARGE) if item.workload_name == "theirs"]
        return (found[0].gpu_ms, found[0].until is not None) if found else (0, False)

    gpu_ms, _ = await eventually(charge, lambda seen: seen[1])
    (pod,) = witness.of_job(made["metadata"]["uid"])
    assert gpu_ms == pod.gpu_seconds * 1000 > 0
    stored = await api.get(f"{WATCHED[0].format(namespace)}/theirs")
    assert not {"allot.dev/status", "allot.dev/attempt"} & set(stored["metadata"]["annotations"])
    told = await api.items(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
    assert [event for event in told if event.get("reportingController") == "allot.dev/scheduler"] == []


@pytest.mark.parametrize("path", WATCHED)
async def test_what_an_observer_may_not_is_refused_by_the_apiserver_itself(
    control_plane: ControlPlane, namespace: str, reader: Path, path: str
) -> None:
    assert control_plane.kubeconfig != reader
    async with ApiClient.from_kubeconfig(reader, 1) as api:
        with pytest.raises(ApiRefused) as refused:
            await api.post(path.format(namespace), {"metadata": {"name": "anything"}})
    assert refused.value.status == 403
