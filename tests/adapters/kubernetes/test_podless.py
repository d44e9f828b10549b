"""Kubernetes' real Job controller is refused the pods of a launched Job: why is read of its Events, and once they are there
it is forgotten."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from scheduler.adapters.kubernetes.cluster import ClusterSettings, KubernetesCluster
from scheduler.domain.actions import ActionResult, SuspendJob
from scheduler.domain.observations import ObservedJob
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_SECOND, AttemptId
from scheduler.entrypoints.devcluster.client import ApiClient, Json
from tests.adapters.kubernetes.conftest import now, settings_for
from tests.contracts.cluster_contract import ClusterRig, Seen
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

ENFORCED = "pod-security.kubernetes.io/enforce"

Switch = Callable[[ApiClient, str, bool], Awaitable[None]]


@pytest.fixture
async def cluster(
    new_cluster: Callable[[ClusterSettings], KubernetesCluster], namespace: str
) -> AsyncIterator[KubernetesCluster]:
    settings = settings_for(namespace)
    cluster = new_cluster(replace(settings, timing=replace(settings.timing, podless_seconds=0.2)))
    await cluster.start()
    yield cluster
    await cluster.close()


async def pod_security(api: ApiClient, namespace: str, is_refusing: bool) -> None:
    labels = {ENFORCED: "restricted" if is_refusing else "privileged"}
    await api.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": labels}})


async def quota(api: ApiClient, namespace: str, is_refusing: bool, at_most: int = 0) -> None:
    path, hard = f"/api/v1/namespaces/{namespace}/resourcequotas", {"pods": str(at_most) if is_refusing else "9"}
    if is_refusing:
        await api.post(path, {"metadata": {"name": "few"}, "spec": {"hard": hard}})
    else:
        await api.patch(f"{path}/few", {"spec": {"hard": hard}})

    def is_in_force(found: Json) -> bool:
        return bool(found.get("status", {}).get("hard") == hard)

    await eventually(lambda: api.get(f"{path}/few"), is_in_force)


async def let_go(rig: ClusterRig, job: ObservedJob, attempt: str, pods: int = 1) -> None:
    launch = rig.launching(rig.workload(job.name, pods=pods), job, (rig.nodes[0], pods))
    outcome = await rig.launch(replace(launch, attempt_id=AttemptId(attempt)))
    assert outcome.result is ActionResult.DONE, outcome.message


def is_told(job: ObservedJob, attempt: str) -> Callable[[Seen], bool]:
    def accept(seen: Seen) -> bool:
        found = seen.jobs.get(job.uid)
        return found is not None and found.attempt_id == attempt and found.refused_since is not None

    return accept


@pytest.mark.parametrize(
    ("switch", "cause"), [(pod_security, "violates PodSecurity"), (quota, "exceeded quota: few")]
)
async def test_what_refuses_the_pods_of_a_job_is_told_and_once_it_lets_them_they_run(
    rig: ClusterRig, api: ApiClient, namespace: str, switch: Switch, cause: str
) -> None:
    await switch(api, namespace, True)
    job = await rig.created(rig.workload("w-refused"))
    before = now() // MS_PER_SECOND * MS_PER_SECOND
    await let_go(rig, job, "a-1")

    told = (await rig.until(is_told(job, "a-1"))).jobs[job.uid]

    assert cause in told.refused_because
    assert told.refused_because.startswith('pods "w-refused-')
    assert told.refused_since is not None
    assert before <= told.refused_since <= now()
    await switch(api, namespace, False)
    await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 1)


async def test_what_refuses_some_pods_of_a_gang_is_told_too(rig: ClusterRig, api: ApiClient, namespace: str) -> None:
    await quota(api, namespace, True, at_most=1)
    job = await rig.created(rig.workload("w-halved", pods=2))
    await let_go(rig, job, "a-1", pods=2)

    told = (await rig.until(is_told(job, "a-1"))).jobs[job.uid]

    assert "exceeded quota: few" in told.refused_because
    assert len((await rig.until(lambda seen: len(seen.live_pods(job.uid)) == 1)).live_pods(job.uid)) == 1
    await quota(api, namespace, False)
    await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 2)


async def test_what_an_earlier_attempt_was_refused_says_nothing_of_the_next(
    rig: ClusterRig, api: ApiClient, namespace: str
) -> None:
    await pod_security(api, namespace, True)
    job = await rig.created(rig.workload("w-twice"))
    await let_go(rig, job, "a-1")
    first = (await rig.until(is_told(job, "a-1"))).jobs[job.uid].refused_since
    await rig.do(SuspendJob(rig.workload("w-twice"), job.uid, Reason.START_TIMEOUT))
    await rig.until(lambda seen: seen.is_free(job.uid))
    assert first is not None
    begun = first  # in the next second: Kubernetes stamps whole ones

    async def ms_later() -> int:
        return now() - begun

    await eventually(ms_later, lambda passed: passed >= MS_PER_SECOND)
    await let_go(rig, job, "a-2")
    second = (await rig.until(is_told(job, "a-2"))).jobs[job.uid].refused_since

    assert second is not None
    assert second > first
