"""What networks, apiservers and other people do to us: nothing is missed, done twice, or taken for an end."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from scheduler.adapters.kubernetes.cluster import KubernetesCluster
from scheduler.adapters.kubernetes.connection import Connection
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.adapters.kubernetes.names import RawObject
from scheduler.adapters.kubernetes.watching import Shelf, Watch, WatchListener, WatchTiming
from scheduler.domain.actions import ActionResult, CreateJob, SuspendJob
from scheduler.domain.observations import ObservedJob
from scheduler.domain.reasons import Reason
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from tests.adapters.kubernetes.conftest import CLASSES, H100, H100_NODES, now, settings_for
from tests.adapters.kubernetes.wire import Wire, wire_to
from tests.contracts.cluster_contract import ClusterRig
from tests.plugins.polling import DEADLINE_SECONDS, eventually

pytestmark = pytest.mark.controlplane


@pytest.fixture
async def wired(control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[tuple[Wire, Path]]:
    async with wire_to(control_plane, tmp_path) as wired:
        yield wired


@pytest.fixture
def wire(wired: tuple[Wire, Path]) -> Wire:
    return wired[0]


@pytest.fixture
async def cluster(wired: tuple[Wire, Path], namespace: str) -> AsyncIterator[KubernetesCluster]:
    timing = WatchTiming(page_size=2, watch_seconds=60, idle_seconds=1.0, backoff_cap_seconds=0.2)
    settings = replace(settings_for(namespace), namespaces=(namespace, swept(namespace)), timing=timing)
    cluster = KubernetesCluster(
        partial(load_credentials, str(wired[1])), settings, now=now, jitter=random.Random(1).random
    )
    cluster.use_gpu_classes(CLASSES)
    await cluster.start()
    yield cluster
    await cluster.close()


@pytest.fixture
def rig(cluster: KubernetesCluster, namespace: str) -> ClusterRig:
    async def end_after(job: ObservedJob, seconds: int) -> None:
        raise AssertionError(f"{job.name} is not to end by itself after {seconds} s here")

    return ClusterRig(cluster, H100, H100_NODES, namespace, end_after)


def _value_of(look: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def seen() -> bool:
        return look()

    return seen


def swept(namespace: str) -> str:
    """A second namespace, for the test that deletes one."""
    return f"{namespace}-swept"


def jobs(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


async def test_a_list_that_expires_between_two_pages_is_begun_anew(
    wire: Wire, rig: ClusterRig, cluster: KubernetesCluster
) -> None:
    names = [f"w-{number}" for number in range(5)]
    await rig.cluster.apply([CreateJob(rig.workload(name), H100) for name in names])
    wire.expired_pages = 2

    cluster.use_gpu_classes({H100.name: H100})
    await rig.until(lambda seen: wire.expired_pages == 0 and {job.name for job in seen.jobs.values()} >= set(names))
    late = await rig.created(rig.workload("w-late"))

    assert late.uid in rig.seen.jobs


async def test_an_object_that_cannot_be_taken_in_blinds_nobody_for_good(
    wired: tuple[Wire, Path], caplog: pytest.LogCaptureFixture
) -> None:
    held: dict[str, str] = {}
    trouble = ["once"]

    def put(raw: RawObject) -> None:
        if trouble and held:
            trouble.clear()
            raise KeyError("strange")
        held[raw["metadata"]["name"]] = raw["metadata"]["uid"]

    shelf = Shelf(
        path="/api/v1/nodes",
        key=lambda raw: str(raw["metadata"]["name"]),
        put=put,
        remove=lambda raw: None,  # noqa: ARG005 (no node goes here)
        held=lambda: list(held),
        drop=held.__delitem__,
    )
    listener = WatchListener(changed=lambda: None, contact=lambda _: None)
    async with Connection(load_credentials(str(wired[1])), random.Random(1).random) as connection:
        watch = Watch(connection, shelf, random.Random(1).random, WatchTiming(backoff_cap_seconds=0.1), listener)
        running = asyncio.create_task(watch.run())
        await eventually(_value_of(lambda: set(H100_NODES) <= held.keys()), bool)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert trouble == [], "one was strange"
    assert set(H100_NODES) <= held.keys(), "and it was looked at again"
    assert "could not be taken in" in caplog.text


async def test_a_stalled_watch_is_noticed_and_begun_anew(wire: Wire, rig: ClusterRig) -> None:
    await rig.created(rig.workload("w-before"))

    wire.is_silent = True
    await rig.do(CreateJob(rig.workload("w-during"), H100))
    rig.seen.fold(await rig.cluster.changes(0.5))
    wire.is_silent = False

    assert rig.seen.job_named("w-during") is None, "nothing was said while the watch was stalled"
    seen = await rig.until(lambda seen: seen.job_named("w-during") is not None)
    assert seen.job_named("w-before") is not None, "what was there before is still there"


async def test_while_the_api_is_away_nothing_is_gone_and_nothing_is_done(
    wire: Wire, rig: ClusterRig, cluster: KubernetesCluster
) -> None:
    job = await rig.launched(rig.workload("w-alive"), (H100_NODES[0], 1))
    wire.is_cut = True
    wire.cut_streams()

    began = time.monotonic()
    suspensions = [SuspendJob(rig.workload("w-alive"), job.uid, Reason.PREEMPTED)] * 500
    outcomes = await cluster.apply(suspensions)
    while cluster.is_reachable:
        rig.seen.fold(await cluster.changes(0.05))

    assert {outcome.result for outcome in outcomes} == {ActionResult.RETRY}
    assert time.monotonic() - began < DEADLINE_SECONDS, "five hundred actions did not each wait for an answer"
    assert len(rig.seen.running_pods(job.uid)) == 1
    wire.is_cut = False
    await rig.until(lambda _: cluster.is_reachable)
    assert len(rig.seen.running_pods(job.uid)) == 1


async def test_a_throttled_write_is_patient(wire: Wire, rig: ClusterRig) -> None:
    wire.throttled = 3

    outcome = await rig.do(CreateJob(rig.workload("w-throttled"), H100))

    assert outcome.result is ActionResult.DONE
    assert wire.throttled == 0


async def test_a_write_that_is_throttled_for_ever_is_left_to_the_next_cycle(wire: Wire, rig: ClusterRig) -> None:
    wire.throttled = 1_000_000

    outcome = await rig.do(CreateJob(rig.workload("w-refused"), H100))

    assert outcome.result is ActionResult.RETRY
    wire.throttled = 0


async def test_work_waits_for_a_namespace_that_is_missing_and_says_which(rig: ClusterRig) -> None:
    nowhere = replace(rig.workload("w-nowhere"), namespace="nowhere")

    outcome = await rig.do(CreateJob(nowhere, H100))

    assert (outcome.result, outcome.message) == (ActionResult.FORBIDDEN, '404: namespaces "nowhere" not found')


async def test_a_create_whose_answer_is_lost_makes_one_job(
    wire: Wire, rig: ClusterRig, api: ApiClient, namespace: str
) -> None:
    wire.swallowed = 1

    outcome = await rig.do(CreateJob(rig.workload("w-lost"), H100))

    found = await api.items(jobs(namespace))
    assert outcome.result is ActionResult.DONE
    assert [job["metadata"]["uid"] for job in found] == [outcome.job_uid]


async def test_a_launch_whose_answer_is_lost_is_stale_and_runs_once(
    wire: Wire, rig: ClusterRig, api: ApiClient, namespace: str
) -> None:
    workload = rig.workload("w-lost")
    job = await rig.created(workload)
    await rig.until(lambda seen: seen.jobs[job.uid].is_confirmed_suspended)
    wire.swallowed = 1

    outcome = await rig.do(rig.launching(workload, job, (H100_NODES[0], 1)))
    await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 1)

    assert outcome.result is ActionResult.STALE
    assert rig.seen.jobs[job.uid].attempt_id == "w-lost-a1"
    assert len(await api.items(f"/api/v1/namespaces/{namespace}/pods")) == 1


async def test_a_foreign_writer_loses_no_update_of_ours_nor_we_of_theirs(
    rig: ClusterRig, api: ApiClient, namespace: str
) -> None:
    workload = rig.workload("w-contended")
    job = await rig.created(workload)

    async def write(count: int) -> None:
        annotations = {f"theirs-{count}": "written"}
        await api.patch(f"{jobs(namespace)}/w-contended", {"metadata": {"annotations": annotations}})

    launch = rig.launching(workload, job, (H100_NODES[0], 1))
    writers = asyncio.gather(*map(write, range(40)))
    outcome = await rig.launch(launch)
    await writers

    stored = await api.get(f"{jobs(namespace)}/w-contended")
    assert outcome.result is ActionResult.DONE
    assert stored["spec"]["suspend"] is False
    assert sum(key.startswith("theirs-") for key in stored["metadata"]["annotations"]) == 40


async def test_a_pod_deleted_by_force_is_reported_gone(rig: ClusterRig, api: ApiClient, namespace: str) -> None:
    job = await rig.launched(rig.workload("w-forced"), (H100_NODES[0], 1))
    (pod,) = rig.seen.running_pods(job.uid)

    await api.delete(f"/api/v1/namespaces/{namespace}/pods/{pod.name}", {"gracePeriodSeconds": 0})

    await rig.until(lambda seen: seen.pods[pod.uid].is_gone and seen.jobs[job.uid].is_failed)
    assert rig.seen.pods[pod.uid].started_at == pod.started_at


async def test_a_namespace_deleted_with_all_that_is_in_it_is_reported_gone(
    rig: ClusterRig, api: ApiClient, namespace: str
) -> None:
    rig.namespace = swept(namespace)
    await api.post("/api/v1/namespaces", {"metadata": {"name": rig.namespace}})
    await eventually(partial(api.items, f"/api/v1/namespaces/{rig.namespace}/serviceaccounts"), bool)
    job = await rig.launched(rig.workload("w-swept"), (H100_NODES[0], 1))

    await api.delete(f"/api/v1/namespaces/{rig.namespace}")

    await rig.until(lambda seen: job.uid not in seen.jobs and not seen.live_pods(job.uid))
    assert job.uid not in {each["metadata"]["uid"] for each in await api.items("/apis/batch/v1/jobs")}


async def test_a_create_that_is_always_refused_fails_alone_and_says_why(rig: ClusterRig) -> None:
    bad = rig.workload("w-bad")
    bad = replace(bad, spec=replace(bad.spec, image=""))

    outcomes = await rig.cluster.apply([CreateJob(bad, H100), CreateJob(rig.workload("w-good"), H100)])

    assert [outcome.result for outcome in outcomes] == [ActionResult.REFUSED, ActionResult.DONE]
    assert "image" in outcomes[0].message
