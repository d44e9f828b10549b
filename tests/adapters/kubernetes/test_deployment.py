"""What manifests/ deploys: accepted by the apiserver, and enough for the adapter but for nothing more."""

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import orjson
import pytest
import yaml

from scheduler.adapters.kubernetes.cluster import ClusterSettings, KubernetesCluster
from scheduler.adapters.kubernetes.connection import Answer, Connection
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.adapters.kubernetes.names import MERGE_PATCH
from scheduler.adapters.kubernetes.watching import status_message
from scheduler.domain.actions import ActionResult, CreateJob, DeleteJob, SuspendJob, TellJob
from scheduler.domain.observations import ObservedJob
from scheduler.domain.policy import SandboxTerms
from scheduler.domain.reasons import Reason
from scheduler.domain.workloads import WorkloadKind
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from tests.adapters.kubernetes.conftest import CLASSES, H100, H100_NODES, now, settings_for
from tests.contracts.cluster_contract import ClusterRig
from tests.controlplane.planes import kubeconfig_of
from tests.plugins.deployed import GROUPS, MANIFESTS, SERVICE, Kubectl, kubectl_job, namespace_named
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane


@pytest.fixture
async def cluster(control_plane: ControlPlane, managed: str) -> AsyncIterator[KubernetesCluster]:
    """The adapter with the rights of the deployed service account, and with those alone."""
    kubeconfig = kubeconfig_of(control_plane, SERVICE, *GROUPS)
    settings = replace(settings_for(managed), namespaces=None)
    cluster = KubernetesCluster(
        partial(load_credentials, str(kubeconfig)), settings, now=now, jitter=random.Random(1).random
    )
    cluster.use_gpu_classes(CLASSES)
    await cluster.start()
    yield cluster
    await cluster.close()


@pytest.fixture
def rig(cluster: KubernetesCluster, managed: str) -> ClusterRig:
    async def end_after(job: ObservedJob, seconds: int) -> None:
        raise AssertionError(f"{job.name} is not to end by itself after {seconds} s here")

    return ClusterRig(cluster, H100, H100_NODES, managed, end_after)


@pytest.mark.parametrize("overlay", ["sqlite", "postgres", "observe"])
def test_every_overlay_is_accepted_by_the_apiserver(kubectl: Kubectl, managed: str, overlay: str) -> None:
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(namespace_named("allot")))
    rendered = kubectl("kustomize", str(MANIFESTS / "overlays" / overlay))

    accepted = kubectl("apply", "--dry-run=server", "-f", "-", stdin=rendered)

    assert len(accepted.splitlines()) == len(_documents(rendered))


def test_nothing_that_is_deployed_may_do_what_it_needs_not(kubectl: Kubectl) -> None:
    rendered = _documents(kubectl("kustomize", str(MANIFESTS / "overlays" / "sqlite")))
    roles = [document for document in rendered if document["kind"] in {"Role", "ClusterRole"}]

    granted = {
        (role["metadata"]["name"], resource, verb)
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    assert not [entry for entry in granted if "*" in entry]
    assert {verb for name, _, verb in granted if name == "allot-observer"} == {"get", "list", "watch"}
    assert not [entry for entry in granted if entry[1] == "secrets" and entry[2] in {"get", "list", "watch"}]
    assert not [entry for entry in granted if "/" in entry[1]], "no exec, no log, no eviction"


def test_every_pod_that_is_deployed_is_confined(kubectl: Kubectl) -> None:
    rendered = _documents(kubectl("kustomize", str(MANIFESTS / "overlays" / "sqlite")))
    pods = {
        document["kind"]: document["spec"]["template"]["spec"]
        for document in rendered
        if document["kind"] in {"Deployment", "DaemonSet"}
    }

    assert pods["Deployment"]["securityContext"]["runAsNonRoot"] is True
    for spec in pods.values():
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not spec.get("hostNetwork")
    assert pods["DaemonSet"]["hostPID"] is True
    assert pods["DaemonSet"]["automountServiceAccountToken"] is False
    hosts = {volume["name"]: volume["hostPath"] for volume in pods["DaemonSet"]["volumes"] if "hostPath" in volume}
    assert {host["path"] for host in hosts.values()} == {
        "/var/lib/kubelet/pod-resources",  # what its user 0 is for
        "/sys/fs/cgroup",
        "/var/run/cdi",
        "/var/lib/allot/agent",  # the spool, which outlives the pod
    }
    mounts = {mount["name"]: mount for mount in pods["DaemonSet"]["containers"][0]["volumeMounts"]}
    assert [name for name in hosts if not mounts[name].get("readOnly")] == ["spool"]
    assert not pods["Deployment"].get("hostPID")


async def test_the_deployed_account_creates_launches_suspends_tells_and_deletes(rig: ClusterRig) -> None:
    gang = rig.workload("w-gang", pods=2)
    job = await rig.launched(gang, (H100_NODES[0], 1), (H100_NODES[1], 1))

    told = await rig.do(TellJob(rig.namespace, job.name, job.uid, Reason.RUNNING, "Running."))
    suspended = await rig.do(SuspendJob(gang, job.uid, Reason.PREEMPTED))
    await rig.until(lambda seen: seen.is_free(job.uid))
    deleted = await rig.do(DeleteJob(gang, job.uid))

    assert {told.result, suspended.result, deleted.result} == {ActionResult.DONE}
    await rig.until(lambda seen: job.uid not in seen.jobs)


async def test_the_deployed_account_lacks_no_right_and_knows_who_it_is(
    cluster: KubernetesCluster, managed: str
) -> None:
    # The apiserver's authorizer hears of a new namespace's role binding a moment after it was made.
    found = await eventually(cluster.check, lambda seen: seen.missing_rights == ())

    assert managed
    assert found.username == SERVICE
    assert found.stamps_authors
    assert found.version.startswith("v1.")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/namespaces/{namespace}/secrets"),
        ("GET", "/api/v1/namespaces/kube-system/configmaps"),
        ("DELETE", "/api/v1/namespaces/{namespace}/pods/any"),
        ("POST", "/api/v1/namespaces/{namespace}/pods/any/exec"),
        ("POST", "/apis/batch/v1/namespaces/default/jobs"),
        ("PATCH", "/api/v1/nodes/simulated-h100-0"),
        ("DELETE", "/api/v1/namespaces/{namespace}"),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/any"),
    ],
)
async def test_the_deployed_account_may_do_nothing_else(
    control_plane: ControlPlane, managed: str, method: str, path: str
) -> None:
    credentials = load_credentials(str(kubeconfig_of(control_plane, SERVICE, *GROUPS)))

    async with Connection(credentials, random.Random(1).random) as connection:
        answer = await connection.request(
            method,
            path.format(namespace=managed),
            body=b"{}" if method != "GET" else None,
            content_type="application/merge-patch+json" if method == "PATCH" else "application/json",
        )

    assert answer.status == 403


async def test_observing_needs_the_right_to_read_alone(
    control_plane: ControlPlane, kubectl: Kubectl, managed: str
) -> None:
    observer = "observer@example.com"
    binding: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "test-observer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "allot-observer"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": observer}],
    }
    lease = {
        **binding,
        "kind": "RoleBinding",
        "metadata": {"name": "test-observer", "namespace": "kube-node-lease"},
        "roleRef": {**binding["roleRef"], "kind": "Role"},
    }
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([binding, lease]))
    settings = ClusterSettings(is_observer=True, timing=settings_for(managed).timing)
    kubeconfig = kubeconfig_of(control_plane, observer, "system:authenticated")
    cluster = KubernetesCluster(
        partial(load_credentials, str(kubeconfig)), settings, now=now, jitter=random.Random(1).random
    )
    cluster.use_gpu_classes(CLASSES)
    await cluster.start()
    try:
        seen = await cluster.changes(5.0)
        rig = ClusterRig(cluster, H100, H100_NODES, managed, end_after=_nothing)
        (outcome,) = await cluster.apply([CreateJob(rig.workload("w-observed"), H100)])
        found = await cluster.check()
    finally:
        await cluster.close()

    assert set(H100_NODES) <= set(seen.nodes)
    assert outcome.result is ActionResult.REFUSED
    assert found.missing_rights == ()


async def test_the_author_of_a_job_is_stamped_and_stays_whatever_else_is_written(
    control_plane: ControlPlane, kubectl: Kubectl, managed: str, rig: ClusterRig
) -> None:
    author = "ada@example.com"
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "ada", "namespace": managed},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": author}],
    }
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(binding))
    ada = kubeconfig_of(control_plane, author, "system:authenticated")
    manifest = kubectl_job("ada-trains", annotations={"allot.dev/author": "bao@example.com"})

    kubectl("-n", managed, "apply", "-f", "-", stdin=yaml.safe_dump(manifest), kubeconfig=ada)
    seen = await rig.until(lambda seen: seen.job_named("ada-trains") is not None)
    path = f"/apis/batch/v1/namespaces/{managed}/jobs/ada-trains"

    async def renamed_by_ada(to: str | None) -> Answer:
        async with Connection(load_credentials(str(ada)), random.Random(1).random) as connection:
            body = orjson.dumps({"metadata": {"annotations": {"allot.dev/author": to}}})
            return await connection.request(
                "PATCH", path, body=body, content_type=MERGE_PATCH, params={"dryRun": "All"}
            )

    # A policy takes effect a moment after it was created.
    renamed = await eventually(lambda: renamed_by_ada("eve"), lambda answer: answer.status == 403)
    disowned = await renamed_by_ada(None)
    kubectl("-n", managed, "label", "job/ada-trains", "seen=yes", kubeconfig=ada)
    stored = yaml.safe_load(kubectl("-n", managed, "get", "job/ada-trains", "-o", "yaml"))

    job = seen.job_named("ada-trains")
    assert job is not None
    assert job.author == author
    assert f"stays '{author}'" in status_message(renamed)
    assert disowned.status == 403
    assert stored["metadata"]["annotations"]["allot.dev/author"] == author
    assert stored["metadata"]["labels"]["seen"] == "yes"


async def test_who_may_write_jobs_cannot_make_one_larger_that_runs_and_the_service_can(
    control_plane: ControlPlane, kubectl: Kubectl, managed: str, rig: ClusterRig
) -> None:
    author = "bea@example.com"
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "bea", "namespace": managed},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": author}],
    }
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump(binding))
    gang = rig.workload("w-larger", pods=2)
    job = await rig.launched(gang, (H100_NODES[0], 2))
    path = f"/apis/batch/v1/namespaces/{managed}/jobs/{job.name}"
    larger = b'{"spec": {"parallelism": 3, "completions": 3}}'

    async def written_by(user: str, *groups: str, body: bytes = larger) -> Answer:
        credentials = load_credentials(str(kubeconfig_of(control_plane, user, *groups)))
        async with Connection(credentials, random.Random(1).random) as connection:
            return await connection.request(
                "PATCH", path, body=body, content_type=MERGE_PATCH, params={"dryRun": "All"}
            )

    async def by_bea() -> Answer:
        return await written_by(author, "system:authenticated")

    refused = await eventually(by_bea, lambda answer: answer.status == 403)
    relabelled = await written_by(author, "system:authenticated", body=b'{"metadata": {"labels": {"seen": "yes"}}}')
    resized = await written_by(SERVICE, *GROUPS)

    assert "submit another for more" in status_message(refused)
    assert (relabelled.status, resized.status) == (200, 200)


async def test_a_job_of_another_author_is_foreign_whatever_it_claims(
    rig: ClusterRig, kubectl: Kubectl, managed: str
) -> None:
    workload = rig.workload("w-forged")
    made = await rig.created(workload)
    stored = yaml.safe_load(kubectl("-n", managed, "get", "job/w-forged", "-o", "yaml"))
    await rig.do(DeleteJob(workload, made.uid))
    await rig.until(lambda seen: made.uid not in seen.jobs)
    forged = kubectl_job("w-forged", annotations=stored["metadata"]["annotations"])
    kubectl("-n", managed, "apply", "-f", "-", stdin=yaml.safe_dump(forged))

    outcome = await rig.do(CreateJob(workload, H100))

    assert outcome.result is ActionResult.FOREIGN
    assert "created by" in outcome.message


async def test_a_sandbox_has_an_address_a_key_and_a_home_that_outlives_it(
    rig: ClusterRig, api: ApiClient, managed: str, control_plane: ControlPlane
) -> None:
    workload = rig.workload("w-sandbox")
    workload = replace(workload, spec=replace(workload.spec, kind=WorkloadKind.SANDBOX))
    core = f"/api/v1/namespaces/{managed}"
    create = CreateJob(workload, H100, key="s3cret", sandbox=SandboxTerms(home_gib=7, port=9999))

    created, again = await rig.do(create), await rig.do(create)
    await rig.until(lambda seen: seen.job_named("w-sandbox") is not None)
    job = rig.seen.job_named("w-sandbox")
    assert job is not None
    launched = await rig.launch(rig.launching(workload, job, (H100_NODES[0], 1)))
    await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 1)

    assert [created.result, again.result, launched.result] == [ActionResult.DONE] * 3
    home = await api.get(f"{core}/persistentvolumeclaims/w-sandbox-home")
    assert home["spec"]["resources"]["requests"]["storage"] == "7Gi"
    assert (await api.get(f"{core}/services/w-sandbox"))["spec"]["ports"][0]["port"] == 9999
    assert "simulated" in await asyncio.to_thread(_answer_through, control_plane, f"{managed} service/w-sandbox 9999")
    assert (await api.get(f"{core}/serviceaccounts/w-sandbox"))["automountServiceAccountToken"] is False
    network = f"/apis/networking.k8s.io/v1/namespaces/{managed}/networkpolicies/w-sandbox"
    (let_in,) = (await api.get(network))["spec"]["ingress"]
    assert (list(let_in["from"][0]), let_in["ports"][0]["port"]) == (["namespaceSelector"], 9999)

    await rig.do(SuspendJob(workload, job.uid, Reason.PREEMPTED))
    await rig.until(lambda seen: seen.is_free(job.uid))
    kept = await api.get(f"{core}/persistentvolumeclaims/w-sandbox-home")
    assert kept["metadata"]["uid"] == home["metadata"]["uid"]
    await rig.do(DeleteJob(workload, job.uid))
    paths = [f"{core}/services", f"{core}/secrets"]
    for path in paths:
        await eventually(partial(_names, api, path), lambda names: "w-sandbox" not in names)
    assert "w-sandbox-home" in await _names(api, f"{core}/persistentvolumeclaims")


def _documents(rendered: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(rendered) if document]


def _answer_through(control_plane: ControlPlane, target: str) -> str:
    """What answers behind `kubectl port-forward`, as `allot sandbox connect` runs it."""
    namespace, service, port = target.split()
    command = [control_plane.kubectl, f"--kubeconfig={control_plane.kubeconfig}", "port-forward", "-n", namespace]
    with subprocess.Popen(
        [*map(str, command), service, f"0:{port}"], stdout=subprocess.PIPE, text=True
    ) as forwarding:
        try:
            assert forwarding.stdout is not None
            local = int(forwarding.stdout.readline().split(" -> ")[0].rsplit(":", 1)[1])
            return httpx.get(f"http://127.0.0.1:{local}/", timeout=60).text
        finally:
            forwarding.terminate()


async def _names(api: ApiClient, path: str) -> list[str]:
    return [item["metadata"]["name"] for item in await api.items(path)]


async def _nothing(job: ObservedJob, seconds: int) -> None:
    del job, seconds
