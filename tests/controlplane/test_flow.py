"""Many Jobs at once: none is lost, none runs twice, and every stamp is one that a kubelet would give."""

import asyncio

import pytest

from scheduler.domain.units import MS_PER_SECOND
from scheduler.entrypoints.devcluster import simulated
from scheduler.entrypoints.devcluster.client import ApiClient, Json
from tests.adapters.kubernetes.conftest import now
from tests.controlplane.jobs import has_condition, seconds, suspended_job, terminated
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

_JOBS = 150


async def test_more_jobs_than_gpus_all_run_once_and_complete(api: ApiClient, namespace: str) -> None:
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    names = [f"job-{index}" for index in range(_JOBS)]
    told = {simulated.RUN_SECONDS: "1"}
    asked_at = now() // MS_PER_SECOND
    await asyncio.gather(*(api.post(jobs, suspended_job(name, told)) for name in names))
    await asyncio.gather(*(api.patch(f"{jobs}/{name}", {"spec": {"suspend": False}}) for name in names))

    def are_complete(found: list[Json]) -> bool:
        return sum(has_condition(job, "Complete") for job in found) == _JOBS

    await eventually(lambda: api.items(jobs), are_complete, limit_seconds=60)
    pods = await api.items(f"/api/v1/namespaces/{namespace}/pods")
    assert len(pods) == _JOBS
    lengths = [seconds(terminated(pod)["finishedAt"]) - seconds(terminated(pod)["startedAt"]) for pod in pods]
    # A run of one second is never shorter; on a loaded machine its end is noticed late, but never before it came.
    assert min(lengths) >= 1
    assert min(seconds(terminated(pod)["startedAt"]) for pod in pods) >= asked_at
    assert max(seconds(terminated(pod)["finishedAt"]) for pod in pods) <= now() // MS_PER_SECOND
