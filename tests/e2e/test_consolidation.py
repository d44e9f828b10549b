"""Moving work for a gang, and gangs that want one rack, on the real control plane."""

import asyncio

import pytest

from scheduler.domain.cluster import PodRequest
from scheduler.domain.errors import Refusal
from scheduler.domain.reasons import Reason
from scheduler.domain.topology import topology_ask
from scheduler.domain.units import NodeName
from scheduler.domain.workloads import Attempt, WorkloadState
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.nodes import BLOCK_LABEL, RACK_LABEL
from tests.e2e.company import H100_NODE_GPUS, own_h100s
from tests.e2e.ending import end_running_pods
from tests.e2e.running import Running, Site
from tests.e2e.witness import Witness

pytestmark = pytest.mark.controlplane

_S = WorkloadState
HALF = PodRequest(gpus=H100_NODE_GPUS // 2, cpu_milli=500, memory_mib=256)
WHOLE = PodRequest(gpus=H100_NODE_GPUS, cpu_milli=500, memory_mib=256)
MOVING = f"""
consolidation: {{priority_classes: [standard], lost_max_gpu_minutes: 600}}
topology: {{block: {BLOCK_LABEL}, rack: {RACK_LABEL}}}
"""


@pytest.fixture
def site(site: Site) -> Site:
    policy = site.folder / "policy.yaml"
    policy.write_text(policy.read_text() + MOVING)
    return site


def _node(attempt: Attempt) -> NodeName:
    return attempt.placement.pods_by_node[0][0]


async def test_a_job_is_moved_for_who_wants_a_whole_node_and_goes_on_elsewhere(
    running: Running, witness: Witness, api: ApiClient, namespace: str
) -> None:
    halves = [await running.submit("ada", "sleep", "3600", pod=HALF) for _ in range(6)]
    for half in halves:
        await running.until(half.id, _S.RUNNING)
    by_node: dict[NodeName, list[int]] = {}
    for number, half in enumerate(halves):
        by_node.setdefault(_node(running.attempts(half.id)[0]), []).append(number)
    stay = [halves[numbers[0]] for numbers in by_node.values()]
    for half in halves:
        if half not in stay:
            await running.cancel("ada", half.id)
            await running.until(half.id, _S.CANCELLED)
    movable, now = stay[0], running.service.clock.now()
    await asyncio.to_thread(running.service.commands.record_checkpoint, running.caller("ada"), movable.id, now=now)

    whole = await running.submit("bao", "sleep", "2", pod=WHOLE)
    await running.until(whole.id, _S.COMPLETED)
    await running.until(movable.id, _S.RUNNING)
    first, second = running.attempts(movable.id)
    assert first.stop_reason is Reason.PREEMPTED
    assert _node(running.attempts(whole.id)[0]) == _node(first)
    assert _node(second) in by_node.keys() - {_node(first)}
    assert [len(running.attempts(each.id)) for each in stay[1:]] == [1, 1]
    with running.service.store.reading() as books:
        told = next(v for v in books.verdicts.of_workload(movable.id) if v.reason is Reason.PREEMPTED)
    assert told.evidence["rule"] == "consolidation"

    await end_running_pods(api, namespace)
    ended = await running.until(movable.id, _S.COMPLETED)
    assert ended.retries == 0
    pods = witness.of_job(ended.job_uid)
    assert len(pods) == 2
    assert running.charged(movable.id)[1] == sum(pod.gpu_seconds for pod in pods) * 1000
    running.assert_settled(movable.id)
    running.assert_settled(whole.id)


async def test_a_gang_that_requires_a_rack_runs_in_one_and_one_that_prefers_it_runs_anyhow(
    running: Running, witness: Witness, namespace: str
) -> None:
    h100 = own_h100s(namespace)
    labels = {name: running.service.world.nodes[name].labels for name in h100}
    racks = {name: (labels[name][BLOCK_LABEL], labels[name][RACK_LABEL]) for name in h100}

    required = await running.submit("ada", "sleep", "2", pods=2, pod=WHOLE, topology=topology_ask("require:rack"))
    ended = await running.until(required.id, _S.COMPLETED)
    taken = {pod.node for pod in witness.of_job(ended.job_uid)}
    assert len(taken) == 2
    assert len({racks[NodeName(str(name))] for name in taken}) == 1

    preferred = await running.submit("ada", "sleep", "2", pods=3, pod=WHOLE, topology=topology_ask("prefer:rack"))
    ended = await running.until(preferred.id, _S.COMPLETED)
    assert {pod.node for pod in witness.of_job(ended.job_uid)} == set(h100)

    with pytest.raises(Refusal):
        await running.submit("ada", "sleep", "2", pods=3, pod=WHOLE, topology=topology_ask("require:rack"))
