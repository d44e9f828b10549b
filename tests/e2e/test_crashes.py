"""The service dies at the worst moment and another begins on the same database: one Job, one hold, one charge."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from scheduler.domain.actions import Action, CreateJob, DeleteJob, LaunchJob, SuspendJob
from scheduler.domain.workloads import Workload, WorkloadState
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.ports import Cluster
from tests.e2e.dying import DyingCluster, Moment
from tests.e2e.running import Running, Site
from tests.e2e.witness import Witness
from tests.plugins.polling import DEADLINE_SECONDS, eventually

pytestmark = pytest.mark.controlplane

_S = WorkloadState


class Lives:
    """One life of the service after another on the same site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.now: Running | None = None

    async def begin(self, through: Callable[[Cluster], Cluster] | None = None) -> Running:
        self.now = await Running.start(self._site, through=through)
        return self.now

    async def until_it_dies(self, sort: type[Action], moment: Moment, *command: str) -> Workload:
        """Submit a job to a service that dies at its first action of this sort; where it is no launch, after the job
        was cancelled while it ran."""
        dying: list[DyingCluster] = []

        def through(cluster: Cluster) -> Cluster:
            dying.append(DyingCluster(cluster, sort, moment))
            return dying[0]

        running = await self.begin(through)
        workload = await running.submit("ada", *command)
        if sort not in {CreateJob, LaunchJob}:
            await running.until(workload.id, _S.RUNNING)
            await running.cancel("ada", workload.id)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await dying[0].died.wait()
        await self.end()
        return workload

    async def end(self) -> None:
        """Nothing is written on the way out: what was under way is lost."""
        running, self.now = self.now, None
        if running is not None:
            await running.close()


@pytest.fixture
async def lives(site: Site) -> AsyncIterator[Lives]:
    lives = Lives(site)
    yield lives
    await lives.end()


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("sort", [CreateJob, LaunchJob])
async def test_a_launch_that_the_service_died_in_is_made_once(
    lives: Lives, witness: Witness, api: ApiClient, namespace: str, sort: type[Action], moment: Moment
) -> None:
    workload = await lives.until_it_dies(sort, moment, "sleep", "2")
    running = await lives.begin()
    ended = await running.until(workload.id, _S.COMPLETED)
    (job,) = await api.items(f"/apis/batch/v1/namespaces/{namespace}/jobs")
    assert job["metadata"]["uid"] == ended.job_uid
    (attempt,) = running.attempts(workload.id)
    (hold,) = running.holds(workload.id)
    (pod,) = witness.of_job(ended.job_uid)
    assert pod.attempt == attempt.id
    assert running.charged(workload.id)[1] == pod.gpu_seconds * 1000 == hold.charged
    running.assert_settled(workload.id)


@pytest.mark.parametrize("moment", Moment)
async def test_a_cancellation_that_the_service_died_in_is_carried_through(
    lives: Lives, witness: Witness, api: ApiClient, namespace: str, moment: Moment
) -> None:
    workload = await lives.until_it_dies(SuspendJob, moment, "sleep", "3600")
    running = await lives.begin()
    ended = await running.until(workload.id, _S.CANCELLED)
    (pod,) = witness.of_job(ended.job_uid)
    assert pod.exit_code == 143
    assert running.charged(workload.id)[1] == pod.gpu_seconds * 1000
    running.assert_settled(workload.id)


async def test_what_a_dead_service_left_to_delete_is_deleted_by_the_next(
    lives: Lives, api: ApiClient, namespace: str
) -> None:
    workload = await lives.until_it_dies(DeleteJob, Moment.BEFORE_THE_CALL, "sleep", "3600")
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    left = [job["metadata"]["name"] for job in await api.items(jobs)]
    assert left == [workload.job_name], "it died before its call"
    await lives.begin()
    await eventually(lambda: api.items(jobs), lambda found: found == [])


async def test_a_job_that_ended_while_nobody_watched_is_charged_by_its_stamps(
    lives: Lives, witness: Witness, site: Site
) -> None:
    running = await lives.begin()
    workload = await running.submit("ada", "sleep", "2")
    begun = await running.until(workload.id, _S.RUNNING)
    await lives.end()

    async def pod_ended() -> bool:
        return all(pod.has_ended for pod in witness.of_job(begun.job_uid))

    await eventually(pod_ended, bool)
    running = await lives.begin()
    await running.until(workload.id, _S.COMPLETED)
    (pod,) = witness.of_job(begun.job_uid)
    assert running.charged(workload.id)[1] == pod.gpu_seconds * 1000
    running.assert_settled(workload.id)
