"""Who uses GPUs in a managed namespace, asked of the real apiserver as an engineer who may edit everything there: only Jobs
that allot launched, as it launched them. Each refusal says what to do."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import pytest

from scheduler.adapters.kubernetes.cluster import KubernetesCluster
from scheduler.adapters.kubernetes.connection import Answer, Connection
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.adapters.kubernetes.names import MERGE_PATCH
from scheduler.adapters.kubernetes.watching import status_message
from scheduler.domain.observations import ObservedJob
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from tests.adapters.kubernetes.conftest import CLASSES, H100, H100_NODES, now, settings_for
from tests.contracts.cluster_contract import ClusterRig
from tests.controlplane.planes import kubeconfig_of
from tests.e2e.admission import let_edit
from tests.plugins.deployed import GROUPS, SERVICE, kubectl_job
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

Json = dict[str, Any]
Asked = Callable[..., Awaitable[Answer]]
GPU = {"nvidia.com/gpu": "1"}
CRONJOBS = "system:serviceaccount:kube-system:cronjob-controller"


@pytest.fixture
async def rig(control_plane: ControlPlane, managed: str) -> AsyncIterator[ClusterRig]:
    """The adapter with the rights that manifests/ gives the service."""
    kubeconfig = kubeconfig_of(control_plane, SERVICE, *GROUPS)
    settings = replace(settings_for(managed), namespaces=None)
    credentials = partial(load_credentials, str(kubeconfig))
    cluster = KubernetesCluster(credentials, settings, now=now, jitter=random.Random(1).random)
    cluster.use_gpu_classes(CLASSES)
    await cluster.start()

    async def end_after(job: ObservedJob, seconds: int) -> None:
        raise AssertionError(f"{job.name} is not to end by itself after {seconds} s here")

    yield ClusterRig(cluster, H100, H100_NODES, managed, end_after)
    await cluster.close()


@pytest.fixture
async def asked(control_plane: ControlPlane, api: ApiClient, managed: str) -> Asked:
    """Asks for a change without making it, as an engineer or who is named; once the policies are in force."""
    await let_edit(api, managed, "eve")

    async def ask(
        method: str, path: str, body: Json | None = None, user: str = "eve", *groups: str, **params: str
    ) -> Answer:
        credentials = load_credentials(
            str(kubeconfig_of(control_plane, user, *(groups or ("system:authenticated",))))
        )
        async with Connection(credentials, random.Random(1).random) as connection:
            return await connection.request(
                method,
                path.format(
                    jobs=f"/apis/batch/v1/namespaces/{managed}/jobs", pods=f"/api/v1/namespaces/{managed}/pods"
                ),
                body=orjson.dumps(body) if body is not None else None,
                content_type=MERGE_PATCH if method == "PATCH" else "application/json",
                params={"dryRun": "All", **params},
            )

    # A policy takes effect a moment after it was created.
    await eventually(lambda: ask("POST", "{pods}", pod(GPU)), lambda answer: answer.status == 403)
    await api.post(f"/apis/batch/v1/namespaces/{managed}/jobs", kubectl_job("probe"))
    orphaning = partial(ask, "DELETE", "{jobs}/probe", propagationPolicy="Orphan")
    await eventually(orphaning, lambda answer: answer.status == 403)
    return ask


def pod(limits: Json, **spec: Any) -> Json:
    container = {"name": "main", "image": "registry.example/own", "resources": {"limits": limits}}
    return {"metadata": {"name": "own"}, "spec": {"containers": [container], **spec}}


_INIT = {"name": "first", "image": "registry.example/own", "resources": {"limits": GPU}}


@pytest.mark.parametrize(
    "own",
    [
        pytest.param(pod(GPU), id="as it comes"),
        pytest.param(pod({"nvidia.com/mig-1g.10gb": "1"}), id="of a part of a GPU"),
        pytest.param(pod(GPU, nodeName=H100_NODES[0]), id="on a node that it names"),
        pytest.param(pod({"cpu": "1"}, initContainers=[_INIT]), id="for its first container alone"),
    ],
)
async def test_an_engineers_own_pod_has_no_gpus_and_is_told_how_to_have_some(asked: Asked, own: Json) -> None:
    refused = await asked("POST", "{pods}", own)

    assert refused.status == 403
    assert "apply a Job with the labels allot.dev/project and allot.dev/time-limit" in status_message(refused)
    assert (await asked("POST", "{pods}", pod({"cpu": "1"}))).is_success


@pytest.mark.parametrize("by", ["replicaset-controller", "statefulset-controller", "daemon-set-controller"])
async def test_nor_has_what_a_controller_makes_for_them_unless_it_is_kubernetes_controller_of_jobs(
    asked: Asked, by: str
) -> None:
    account = f"system:serviceaccount:kube-system:{by}"
    groups = ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")

    assert (await asked("POST", "{pods}", pod(GPU), account, *groups)).status == 403


@pytest.mark.parametrize(("limits", "is_suspended"), [(GPU, True), ({"cpu": "1"}, False)], ids=["GPUs", "no GPUs"])
async def test_a_job_that_asks_for_gpus_is_created_suspended_whatever_its_manifest_says(
    asked: Asked, limits: Json, is_suspended: bool
) -> None:
    forged = {"allot.dev/author": "eve"}
    manifest = kubectl_job("own", annotations=forged)
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": limits}
    manifest["spec"]["template"]["metadata"] = {"annotations": {"allot.dev/attempt": "a-forged"}}
    del manifest["spec"]["suspend"]

    made = orjson.loads((await asked("POST", "{jobs}", manifest)).body)

    assert made["spec"]["suspend"] is is_suspended
    assert made["metadata"]["annotations"]["allot.dev/author"] == "eve"


async def test_what_a_cronjob_makes_is_suspended_and_stays_whose_it_was(asked: Asked) -> None:
    manifest = kubectl_job("nightly", annotations={"allot.dev/author": "bao"})
    del manifest["spec"]["suspend"]
    groups = ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")

    made = orjson.loads((await asked("POST", "{jobs}", manifest, CRONJOBS, *groups)).body)

    assert made["spec"]["suspend"] is True
    assert made["metadata"]["annotations"]["allot.dev/author"] == "bao"


async def test_nobody_but_who_places_work_sets_a_job_going_that_asks_for_gpus(
    asked: Asked, api: ApiClient, managed: str
) -> None:
    jobs = f"/apis/batch/v1/namespaces/{managed}/jobs"
    of_cpus = kubectl_job("of-cpus")
    of_cpus["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "1"}}
    await api.post(jobs, kubectl_job("of-gpus"))
    await api.post(jobs, of_cpus)
    going = {"spec": {"suspend": False, "template": {"metadata": {"annotations": {"allot.dev/attempt": "a-forged"}}}}}

    async def set_going() -> Answer:  # a Job that is not marked as suspended yet may not have another template
        return await asked("PATCH", "{jobs}/of-gpus", going)

    refused = await eventually(set_going, lambda answer: answer.status == 403)

    assert "allot sets this Job going when its turn has come" in status_message(refused)
    assert (await asked("PATCH", "{jobs}/of-gpus", going, SERVICE, *GROUPS)).is_success
    assert (await asked("PATCH", "{jobs}/of-cpus", {"spec": {"suspend": False}})).is_success


async def test_what_a_running_job_was_judged_by_stays_and_the_rest_may_change(asked: Asked, rig: ClusterRig) -> None:
    job = await rig.launched(rig.workload("w-kept", pods=2), (H100_NODES[0], 1), (H100_NODES[1], 1))
    path = f"{{jobs}}/{job.name}"
    told = {
        "submit another for more": {"spec": {"parallelism": 3, "completions": 3}},
        "a retry rule of the policy tries again": {"spec": {"backoffLimit": 6}},
        "where allot placed the pods": {"metadata": {"annotations": {"allot.dev/placement": f"{H100_NODES[0]}=2"}}},
    }
    shorter = {"spec": {"activeDeadlineSeconds": 60}}

    for words, patch in told.items():
        refused = await asked("PATCH", path, patch)
        assert (refused.status, words in status_message(refused)) == (403, True), status_message(refused)
        assert (await asked("PATCH", path, patch, SERVICE, *GROUPS)).is_success
    for patch in (shorter, {"metadata": {"labels": {"seen": "yes"}}}, {"spec": {"suspend": True, "backoffLimit": 6}}):
        assert (await asked("PATCH", path, patch)).is_success


async def test_the_time_of_a_running_job_is_made_longer_by_allot_alone(
    asked: Asked, rig: ClusterRig, api: ApiClient, managed: str
) -> None:
    job = await rig.launched(rig.workload("w-longer"), (H100_NODES[0], 1))
    await api.patch(
        f"/apis/batch/v1/namespaces/{managed}/jobs/{job.name}", {"spec": {"activeDeadlineSeconds": 3_600}}
    )

    for longer in (7_200, None):
        refused = await asked("PATCH", f"{{jobs}}/{job.name}", {"spec": {"activeDeadlineSeconds": longer}})
        assert "`allot extend` makes it longer" in status_message(refused)
    assert (await asked("PATCH", f"{{jobs}}/{job.name}", {"spec": {"activeDeadlineSeconds": 60}})).is_success


async def test_a_pod_stays_with_its_job_its_attempt_and_its_place(asked: Asked, rig: ClusterRig) -> None:
    job = await rig.launched(rig.workload("w-stays", pods=2), (H100_NODES[0], 2))
    (name, *_) = [each.name for each in rig.seen.running_pods(job.uid)]
    path = f"{{pods}}/{name}"

    for patch in (
        {"ownerReferences": None},
        {"labels": {"batch.kubernetes.io/controller-uid": "none"}},
        {"annotations": {"allot.dev/attempt": "a-other"}},
    ):
        refused = await asked("PATCH", path, {"metadata": patch})
        assert "delete or suspend the Job to end it" in status_message(refused)
    assert (await asked("PATCH", path, {"metadata": {"labels": {"seen": "yes"}}})).is_success


async def test_no_deletion_leaves_pods_behind_that_nobody_could_end(
    asked: Asked, rig: ClusterRig, api: ApiClient, managed: str
) -> None:
    job = await rig.launched(rig.workload("w-orphans"), (H100_NODES[0], 1))
    path = f"{{jobs}}/{job.name}"

    for params in ({"propagationPolicy": "Orphan"}, {"orphanDependents": "true"}):
        for each in (path, "{jobs}"):
            assert "without `--cascade=orphan`" in status_message(await asked("DELETE", each, **params))
    assert (await asked("DELETE", path, propagationPolicy="Background")).is_success
    assert (await asked("DELETE", "{jobs}", propagationPolicy="Background")).is_success

    stored = f"/apis/batch/v1/namespaces/{managed}/jobs/{job.name}"
    await api.patch(stored, {"metadata": {"finalizers": ["orphan"]}})
    assert "without the finalizer `orphan`" in status_message(await asked("DELETE", path))
    await api.patch(stored, {"metadata": {"finalizers": None}})
