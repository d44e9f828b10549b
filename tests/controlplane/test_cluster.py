"""The control plane is the real one: its version, RBAC, admission, volumes; and it ends when told to."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler.domain.units import NodeName
from scheduler.entrypoints.devcluster import simulated
from scheduler.entrypoints.devcluster.binaries import KUBERNETES_VERSION
from scheduler.entrypoints.devcluster.client import ApiClient, ApiRefused, Json
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options, load
from scheduler.entrypoints.devcluster.processes import free_ports, is_alive
from tests.controlplane.jobs import JobRun
from tests.controlplane.planes import kubeconfig_of
from tests.plugins.polling import DEADLINE_SECONDS, eventually

pytestmark = pytest.mark.controlplane


async def test_the_apiserver_says_the_version_it_was_built_from(api: ApiClient) -> None:
    version = await api.get("/version")
    assert version["gitVersion"] == KUBERNETES_VERSION


async def test_a_stranger_may_not_list_jobs_until_a_role_lets_them(
    control_plane: ControlPlane, api: ApiClient, namespace: str
) -> None:
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    stranger = ApiClient.from_kubeconfig(kubeconfig_of(control_plane, "ada@example.com", "engineers"))
    async with stranger as ada:
        with pytest.raises(ApiRefused) as refused:
            await ada.get(jobs)
        assert refused.value.status == 403

        rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
        rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list"]}]
        await api.post(f"{rbac}/roles", {"metadata": {"name": "look"}, "rules": rules})
        binding: Json = {
            "metadata": {"name": "look"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "look"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "engineers"}],
        }
        await api.post(f"{rbac}/rolebindings", binding)

        async def status() -> int:
            try:
                await ada.get(jobs)
            except ApiRefused as still:
                return still.status
            return 200

        await eventually(status, lambda seen: seen == 200)


async def test_nodes_carry_what_gpu_feature_discovery_and_the_device_plugin_write(api: ApiClient) -> None:
    node = await api.get("/api/v1/nodes/simulated-h100-0")
    labels = node["metadata"]["labels"]
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
    assert labels["nvidia.com/gpu.count"] == "8"
    assert labels["nvidia.com/gpu.memory"] == "81559"
    assert labels["nvidia.com/mig.capable"] == "true"
    assert labels["topology.kubernetes.io/zone"] == "zone-a"
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    assert {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"} in node["spec"]["taints"]
    assert node["status"]["nodeInfo"]["osImage"] == "simulated by allot"


async def test_a_node_told_to_fail_is_tainted_and_recovers(
    api: ApiClient, own_nodes: tuple[NodeName, NodeName]
) -> None:
    path = f"/api/v1/nodes/{own_nodes[0]}"

    def is_tainted(node: Json) -> bool:
        return any(taint["key"] == "node.kubernetes.io/not-ready" for taint in node["spec"].get("taints", ()))

    async def look() -> Json:
        return await api.get(path)

    await api.patch(path, {"metadata": {"annotations": {simulated.NOT_READY: "true"}}})
    failed = await eventually(look, is_tainted)
    assert _ready(failed) != "True"
    await api.patch(path, {"metadata": {"annotations": {simulated.NOT_READY: None}}})
    recovered = await eventually(look, lambda node: not is_tainted(node))
    assert _ready(recovered) == "True"


def _ready(node: Json) -> str:
    (found,) = (each["status"] for each in node["status"]["conditions"] if each["type"] == "Ready")
    return str(found)


async def test_a_claim_gets_a_volume_and_takes_it_along(api: ApiClient, namespace: str) -> None:
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
    await api.post(claims, {"metadata": {"name": "home"}, "spec": spec})

    async def look() -> Json:
        return await api.get(f"{claims}/home")

    claim = await eventually(look, lambda claim: claim["status"].get("phase") == "Bound")
    volume = claim["spec"]["volumeName"]

    async def names() -> set[str]:
        return {found["metadata"]["name"] for found in await api.items("/api/v1/persistentvolumes")}

    assert volume in await names(), "the claim's volume is one of the cluster's"
    await api.delete(f"{claims}/home")
    await eventually(names, lambda seen: volume not in seen)


def test_mutating_admission_policies_are_served(kubectl: Callable[..., str]) -> None:
    resources = kubectl("api-resources", "--api-group=admissionregistration.k8s.io", "-o", "name")
    assert "mutatingadmissionpolicies.admissionregistration.k8s.io" in resources.split()


def test_a_cluster_without_controllers_is_two_processes_that_end_when_told(
    new_control_plane: Callable[[Options], ControlPlane], tmp_path: Path
) -> None:
    plane = new_control_plane(Options(runs_workloads=False))
    assert [process.name for process in plane.processes] == ["etcd", "kube-apiserver"]
    assert plane.is_running
    assert load(plane.directory) == plane
    plane.stop()
    assert not any(is_alive(process) for process in plane.processes)


async def test_logs_and_forwarded_ports_answer_and_say_that_they_are_simulated(
    control_plane: ControlPlane, api: ApiClient, namespace: str, kubectl: Callable[..., str]
) -> None:
    run = await JobRun.launched(api, namespace, {})
    pod = await run.pod_in("Running")
    name = pod["metadata"]["name"]
    says = "simulated by allot: no container runs here"
    assert kubectl("logs", "--namespace", namespace, name) == f"{says}\n"

    (port,) = free_ports(1)
    forward = ["port-forward", f"--namespace={namespace}", f"pod/{name}", f"{port}:8888"]
    process = await asyncio.create_subprocess_exec(
        control_plane.kubectl, f"--kubeconfig={control_plane.kubeconfig}", *forward, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await process.stdout.readline()
        async with ApiClient(f"http://127.0.0.1:{port}", ssl.create_default_context()) as sandbox:
            assert await sandbox.text("/") == says
    finally:
        process.kill()
        await process.communicate()
