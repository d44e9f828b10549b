"""One allot to a managed namespace, on the real control plane: who has it, who waits for it, and who stops writing."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scheduler.adapters.kubernetes.claiming import BOOKS, SYSTEM_NAMESPACE, Claimant, ClaimTiming
from scheduler.adapters.kubernetes.cluster import KubernetesCluster
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.domain.actions import ActionResult, CreateJob
from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.domain.observations import ObservedJob
from scheduler.entrypoints.devcluster.client import ApiClient, ApiRefused
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from tests.adapters.kubernetes.conftest import CLASSES, H100, H100_NODES, now, settings_for
from tests.contracts.cluster_contract import ClusterRig
from tests.controlplane.planes import kubeconfig_of
from tests.plugins.deployed import GROUPS, SERVICE
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

SOON = ClaimTiming(duration_seconds=2, margin_seconds=0.5, renew_seconds=0.2, retry_seconds=0.1)
OURS, THEIRS = Claimant("books-ours", "here_1"), Claimant("books-theirs", "there_1")
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM_NAMESPACE}/leases"

RBAC = "/apis/rbac.authorization.k8s.io/v1"
OF_OLD = "allot-of-old"

Opened = Callable[..., Awaitable[KubernetesCluster]]


@pytest.fixture
async def opened(control_plane: ControlPlane, managed: str) -> AsyncIterator[Opened]:
    """A service's cluster with the rights of the deployed account, started; closed when the test ends."""
    deployed = kubeconfig_of(control_plane, SERVICE, *GROUPS)
    every: list[KubernetesCluster] = []

    async def open_for(claimant: Claimant, kubeconfig: Path = deployed, **overrides: Any) -> KubernetesCluster:
        settings = replace(settings_for(managed, claimant=claimant, claiming=SOON), **overrides)
        credentials = partial(load_credentials, str(kubeconfig))
        cluster = KubernetesCluster(credentials, settings, now=now, jitter=random.Random(1).random)
        cluster.use_gpu_classes(CLASSES)
        every.append(cluster)
        await cluster.start()
        return cluster

    yield open_for
    for cluster in every:
        await cluster.close()


async def ends_by_itself(job: ObservedJob, seconds: int) -> None:
    raise AssertionError(f"{job.name} is not to end after {seconds} s here")


async def holder(api: ApiClient, managed: str) -> str:
    return str((await api.get(f"{LEASES}/allot.{managed}"))["spec"].get("holderIdentity", ""))


async def test_a_service_with_other_books_is_told_who_manages_the_namespace(
    opened: Opened, api: ApiClient, managed: str
) -> None:
    first = await opened(OURS)

    with pytest.raises(Unavailable, match=rf"here_1\) manages the namespace {managed}") as refused:
        await opened(THEIRS)

    assert refused.value.code is RefusalCode.NAMESPACE_CLAIMED
    assert first.is_reachable
    assert await holder(api, managed) == "here_1"


async def test_a_claim_that_is_renewed_never_falls_to_others(opened: Opened, api: ApiClient, managed: str) -> None:
    await opened(OURS)
    before = (await api.get(f"{LEASES}/allot.{managed}"))["metadata"]["resourceVersion"]

    async def tried() -> int:
        with pytest.raises(Unavailable, match="here_1"):
            await opened(THEIRS)
        return int((await api.get(f"{LEASES}/allot.{managed}"))["metadata"]["resourceVersion"])

    await eventually(tried, lambda version: version > int(before))


async def test_the_same_books_go_on_at_once_after_a_death(opened: Opened, api: ApiClient, managed: str) -> None:
    await planted(api, managed, Claimant(OURS.books, "here_0"))

    cluster = await opened(OURS)

    assert cluster.is_reachable
    assert await holder(api, managed) == "here_1"


async def test_who_closes_leaves_the_namespace_to_whoever_comes(opened: Opened, api: ApiClient, managed: str) -> None:
    first = await opened(OURS)
    await first.close()
    assert await holder(api, managed) == ""

    await opened(THEIRS)

    assert await holder(api, managed) == "there_1"


async def test_a_claim_that_nobody_renews_falls_to_whoever_waits(
    opened: Opened, api: ApiClient, managed: str
) -> None:
    await planted(api, managed, THEIRS)
    settled = await opened(OURS, namespaces=())  # so that the one that waits is the same at each try
    waiting = settled._claims
    assert waiting is not None
    assert settled._session is not None
    connection = settled._session.connection

    async def tried() -> bool:
        try:
            await waiting.take(connection, [managed])
        except Unavailable:
            return False
        return True

    assert not await tried()
    await eventually(tried, bool)
    assert await holder(api, managed) == "here_1"


async def test_who_lost_a_claim_writes_nothing_until_it_is_theirs_again(
    opened: Opened, api: ApiClient, managed: str
) -> None:
    cluster = await opened(OURS)
    await planted(api, managed, THEIRS)

    async def is_reachable() -> bool:
        return cluster.is_reachable

    create = CreateJob(ClusterRig(cluster, H100, H100_NODES, managed, ends_by_itself).workload("w-late"), H100)
    await eventually(is_reachable, lambda seen: not seen)
    (outcome,) = await cluster.apply([create])
    assert outcome.result is ActionResult.RETRY
    assert await api.items(f"/apis/batch/v1/namespaces/{managed}/jobs") == []
    with pytest.raises(Unavailable, match="there_1"):
        await cluster.changes(0.1)

    await eventually(is_reachable, bool)  # nobody renews what was planted
    (outcome,) = await cluster.apply([create])
    assert outcome.result is ActionResult.DONE


async def test_an_observer_claims_nothing(opened: Opened, api: ApiClient, managed: str) -> None:
    await planted(api, managed, THEIRS)

    watching = await opened(OURS, is_observer=True)

    assert watching.is_reachable
    assert await holder(api, managed) == "there_1"


async def test_who_may_not_write_leases_manages_without_a_claim(
    opened: Opened, api: ApiClient, control_plane: ControlPlane, managed: str
) -> None:
    """As after an upgrade of the service without its manifests: work goes on, and `allot doctor` lists the right."""
    await api.post(f"{RBAC}/clusterrolebindings", binding(f"old-{managed}", "ClusterRoleBinding", "allot-observer"))
    await api.post(f"{RBAC}/namespaces/{managed}/rolebindings", binding("old", "RoleBinding", "allot-writer"))
    kubeconfig = kubeconfig_of(control_plane, OF_OLD, "system:authenticated")
    cluster: KubernetesCluster | None = None

    async def started() -> bool:
        nonlocal cluster
        try:
            cluster = await opened(OURS, kubeconfig=kubeconfig)
        except Unavailable as error:
            assert "forbidden" in error.message  # noqa: PT017 (the authorizer hears of a binding a moment after it was made)
            return False
        return True

    await eventually(started, bool)
    assert cluster is not None
    assert cluster.is_reachable
    lacking = {str(right) for right in (await cluster.check()).missing_rights}
    assert f"update leases.coordination.k8s.io in {SYSTEM_NAMESPACE}" in lacking


def binding(name: str, kind: str, role: str) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OF_OLD}
    metadata = {"name": name}
    return {"kind": kind, "metadata": metadata, "roleRef": reference, "subjects": [subject]}


async def planted(api: ApiClient, managed: str, claimant: Claimant) -> None:
    """A Lease as another service leaves it that dies."""
    spec = {"holderIdentity": claimant.process, "leaseDurationSeconds": 2}
    metadata = {"name": f"allot.{managed}", "annotations": {BOOKS: claimant.books}}
    try:
        await api.post(LEASES, {"metadata": metadata, "spec": spec})
    except ApiRefused:
        await api.patch(f"{LEASES}/allot.{managed}", {"metadata": metadata, "spec": spec})
