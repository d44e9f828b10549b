"""From submission to the last charge on the real control plane: what a workload costs is what its pods' stamps say."""

import pytest

from scheduler.domain.cluster import PodRequest
from scheduler.domain.reasons import Reason
from scheduler.domain.units import GpuClassName, PriorityClassName
from scheduler.domain.workloads import WorkloadState
from scheduler.entrypoints.devcluster.client import ApiClient
from tests.e2e.company import H100_NODE_GPUS
from tests.e2e.ending import end_running_pods
from tests.e2e.running import Running
from tests.e2e.witness import Witness

pytestmark = pytest.mark.controlplane

URGENT = PriorityClassName("urgent")
_S = WorkloadState


async def test_a_job_runs_once_and_costs_its_seconds_times_weight_times_factor(
    running: Running, witness: Witness
) -> None:
    workload = await running.submit(
        "ada",
        "sleep",
        "3",
        gpu_classes=(GpuClassName("A100"),),
        priority_class=URGENT,
        pod=PodRequest(gpus=2, cpu_milli=500, memory_mib=256),
    )
    ended = await running.until(workload.id, _S.COMPLETED)
    (pod,) = witness.of_job(ended.job_uid)
    assert pod.gpus == 2
    assert pod.gpu_seconds >= 6
    # A100 at 600 ‰, urgent at 1500 ‰.
    assert running.charged(workload.id) == (pod.gpu_seconds * 900, pod.gpu_seconds * 1000)
    # A busy machine may see the start and the end at once.
    assert [r for r in running.reasons(workload.id) if r is not Reason.RUNNING] == [
        Reason.LAUNCHING,
        Reason.COMPLETED,
    ]
    running.assert_settled(workload.id)


async def test_a_job_that_fails_is_charged_and_says_its_exit_code(running: Running, witness: Witness) -> None:
    workload = await running.submit("ada", "sh", "-c", "sleep 1; exit 3")
    ended = await running.until(workload.id, _S.FAILED)
    (pod,) = witness.of_job(ended.job_uid)
    assert pod.exit_code == 3
    assert running.charged(workload.id)[1] == pod.gpu_seconds * 1000
    assert running.reasons(workload.id)[-1] is Reason.FAILED
    running.assert_settled(workload.id)


async def test_a_cancelled_job_is_charged_until_its_pod_has_ended(running: Running, witness: Witness) -> None:
    workload = await running.submit("ada", "sleep", "3600")
    await running.until(workload.id, _S.RUNNING)
    await running.cancel("ada", workload.id)
    ended = await running.until(workload.id, _S.CANCELLED)
    (pod,) = witness.of_job(ended.job_uid)
    assert running.charged(workload.id)[1] == pod.gpu_seconds * 1000
    running.assert_settled(workload.id)


async def test_a_gang_runs_where_it_was_placed_and_every_pod_is_charged(running: Running, witness: Witness) -> None:
    workload = await running.submit(
        "ada", "sleep", "2", pods=6, pod=PodRequest(gpus=4, cpu_milli=500, memory_mib=256)
    )
    ended = await running.until(workload.id, _S.COMPLETED)
    pods = witness.of_job(ended.job_uid)
    (attempt,) = running.attempts(workload.id)
    assert len(pods) == 6
    planned = dict(attempt.placement.pods_by_node)
    assert {node: sum(pod.node == node for pod in pods) for node in planned} == planned
    assert running.charged(workload.id)[1] == sum(pod.gpu_seconds for pod in pods) * 1000
    running.assert_settled(workload.id)


async def test_a_preempted_job_frees_its_gpus_and_runs_again_as_a_second_attempt(
    running: Running, witness: Witness, api: ApiClient, namespace: str
) -> None:
    whole_node = PodRequest(gpus=H100_NODE_GPUS, cpu_milli=500, memory_mib=256)
    victims = [await running.submit("ada", "sleep", "3600", pod=whole_node) for _ in range(3)]
    for victim in victims:
        await running.until(victim.id, _S.RUNNING)
    preemptor = await running.submit("bao", "sleep", "2", pod=whole_node, priority_class=URGENT)
    await running.until(preemptor.id, _S.COMPLETED)
    for victim in victims:
        await running.until(victim.id, _S.RUNNING)
    await end_running_pods(api, namespace)
    ended = [await running.until(victim.id, _S.COMPLETED) for victim in victims]

    attempts = {workload.id: running.attempts(workload.id) for workload in ended}
    (twice,) = [workload for workload in ended if len(attempts[workload.id]) == 2]
    assert [attempt.stop_reason for attempt in attempts[twice.id]] == [Reason.PREEMPTED, Reason.COMPLETED]
    assert Reason.PREEMPTED in running.reasons(twice.id)
    first, second = witness.of_job(twice.job_uid)
    assert (first.attempt, second.attempt) == tuple(attempt.id for attempt in attempts[twice.id])
    assert first.exit_code == 143
    (of_preemptor,) = witness.of_job((await running.workload(preemptor.id)).job_uid)
    assert first.finished_at is not None
    assert of_preemptor.started_at is not None
    assert first.finished_at <= of_preemptor.started_at
    for workload in ended:
        pods = witness.of_job(workload.job_uid)
        assert running.charged(workload.id)[1] == sum(pod.gpu_seconds for pod in pods) * 1000
        running.assert_settled(workload.id)
