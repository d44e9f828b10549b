"""Elastic jobs on the real control plane: shrink before anybody is stopped, grow back, and pay for each pod's seconds."""

import pytest

from scheduler.domain.cluster import PodRequest
from scheduler.domain.reasons import Reason
from scheduler.domain.units import PriorityClassName, WorkloadId
from scheduler.domain.workloads import WorkloadState
from scheduler.entrypoints.devcluster.client import ApiClient
from tests.e2e.company import H100_NODE_GPUS
from tests.e2e.ending import end_running_pods
from tests.e2e.running import Running
from tests.e2e.witness import Witness
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

WHOLE_NODE = PodRequest(gpus=H100_NODE_GPUS, cpu_milli=500, memory_mib=256)
_S = WorkloadState


async def test_it_shrinks_for_who_is_urgent_grows_back_and_every_pod_is_charged(
    running: Running, witness: Witness, api: ApiClient, namespace: str
) -> None:
    elastic = await running.submit("ada", "sleep", "3600", pods=3, min_pods=1, pod=WHOLE_NODE)

    async def alive() -> int:
        known = await running.workload(elastic.id)
        pods = witness.of_job(known.job_uid) if known.job_uid is not None else []
        return sum(pod.started_at is not None and not pod.has_ended for pod in pods)

    await eventually(alive, lambda count: count == 3)
    urgent = await running.submit("bao", "sleep", "2", pod=WHOLE_NODE, priority_class=PriorityClassName("urgent"))
    await running.until(urgent.id, _S.COMPLETED)
    await eventually(alive, lambda count: count == 3)
    assert (await running.workload(elastic.id)).state is _S.RUNNING
    await end_running_pods(api, namespace)
    ended = await running.until(elastic.id, _S.COMPLETED)

    told = [
        reason for reason in running.reasons(elastic.id) if reason in {Reason.SHRUNK, Reason.GROWN, Reason.PREEMPTED}
    ]
    assert told == [Reason.SHRUNK, Reason.GROWN]
    (attempt,) = running.attempts(elastic.id)
    pods = witness.of_job(ended.job_uid)
    assert (len(pods), {pod.attempt for pod in pods}) == (4, {attempt.id})
    (given_back,) = [pod for pod in pods if pod.exit_code == 143]
    (of_urgent,) = witness.of_job((await running.workload(urgent.id)).job_uid)
    assert given_back.node == of_urgent.node
    assert given_back.finished_at is not None
    assert of_urgent.started_at is not None
    assert given_back.finished_at <= of_urgent.started_at
    _require_settled(running, witness, elastic.id, ended.job_uid)
    _require_settled(running, witness, urgent.id, of_urgent.job_uid)


def _require_settled(running: Running, witness: Witness, workload_id: WorkloadId, job_uid: str | None) -> None:
    pods = witness.of_job(job_uid)
    assert running.charged(workload_id)[1] == sum(pod.gpu_seconds for pod in pods) * 1000
    running.assert_settled(workload_id)
