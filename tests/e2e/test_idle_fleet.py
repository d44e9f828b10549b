"""Several agents beside the real control plane: on its simulated nodes a sandbox rests and a job works, each node's
agent tells what its GPUs do, and the sandbox is warned, suspended and settled while the job is left alone.

Nodes, pods and GPUs are simulated; apiserver, controllers, service and agents are real processes that talk over sockets.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest

from scheduler.domain.people import Caller, Role
from scheduler.domain.reasons import Reason
from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.domain.workloads import Workload, WorkloadKind, WorkloadState
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.devcluster.client import ApiClient
from tests.e2e.company import H100_NODE_GPUS, RESTS, own_h100s
from tests.e2e.running import Running, Site
from tests.entrypoints.company import token_of
from tests.entrypoints.serving import served
from tests.nvml.agent_process import AgentProcess
from tests.nvml.machine import GIB, FakeMachine, Gpu, Job, Machine, build_library, compiler
from tests.nvml.scenario import write_proc, write_process
from tests.plugins.polling import eventually

pytestmark = [
    pytest.mark.controlplane,
    pytest.mark.skipif(compiler() is None, reason="no C compiler: agents on simulated GPUs are left out"),
]

_S = WorkloadState
OPERATOR = Caller("olga", frozenset(Role))
LIMIT_SECONDS = 300.0
PACE = ("--sample-ms", "1000", "--window-ms", "3000", "--inventory-ms", "5000", "--watchdog-ms", "30000")


@dataclass(frozen=True)
class Address:
    address: str
    token: str


@dataclass
class NodeAgent:
    """A node's agent, its GPUs and the processes that it sees."""

    name: NodeName
    process: AgentProcess
    gpus: tuple[Gpu, ...]
    booted_ms: int
    jobs: tuple[Job, ...] = ()

    @property
    def proc(self) -> Path:
        return self.process.directory / "proc"

    def run(self, pod_uid: str, index: int, *, duty_permille: int) -> None:
        """A process of the pod holds memory on the GPU from now on, and works so much."""
        pid = 4_000 + len(self.jobs)
        write_process(self.proc, pid, f"0::/kubepods/burstable/pod{pod_uid}/{'ab' * 32}")
        self.jobs += (Job(index, pid=pid, duty_permille=duty_permille, memory_bytes=10 * GIB),)
        self.process.fake.describe(Machine(self.gpus, self.jobs, booted_ms=self.booted_ms))


@dataclass
class Fleet:
    running: Running
    agents: dict[NodeName, NodeAgent]


def node_agent(name: NodeName, library: Path, folder: Path, now: Instant) -> NodeAgent:
    folder.mkdir()
    booted_ms = now - 60_000
    gpus = tuple(
        Gpu(f"GPU-{name}-{index}", bus=f"00000000:{index + 1:02x}:00.0", minor=index)
        for index in range(H100_NODE_GPUS)
    )
    fake = FakeMachine(folder / "machine", library)
    fake.describe(Machine(gpus, booted_ms=booted_ms))
    proc = write_proc(folder / "proc")
    (proc / "sys/kernel/random").mkdir(parents=True)
    (proc / "sys/kernel/random/boot_id").write_text(f"boot-of-{name}\n")
    return NodeAgent(name, AgentProcess(fake, folder, node=name), gpus, booted_ms)


@pytest.fixture
async def fleet(site: Site, tmp_path: Path) -> AsyncIterator[Fleet]:
    """The service with its API on the control plane, and an agent for each of its H100 nodes."""
    service = await asyncio.to_thread(build, site.settings())
    service.world.policy = replace(service.world.require_policy(), idle_rules=(RESTS,))
    library = build_library(tmp_path)
    async with AsyncExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(2))
        address = stack.enter_context(served(service, with_loops=True))
        running = Running(service, threads)
        await running.until_it_knows(*own_h100s(site.namespace))
        agents = {}
        for name in own_h100s(site.namespace):
            service.administration.issue_token(
                *(OPERATOR, f"node:{name}", frozenset({Role.AGENT}), hash_of(token_of(name))),
                now=service.clock.now(),
            )
            agent = node_agent(name, library, tmp_path / name, service.clock.now())
            agents[name] = agent
            stack.push_async_callback(agent.process.end)
            await agent.process.start(Address(address, token_of(name)), *PACE, "--proc", str(agent.proc))
        yield Fleet(running, agents)


async def occupy(fleet: Fleet, workload: Workload, api: ApiClient, index: int, *, duty_permille: int) -> GpuUuid:
    """What its pod's process does on a GPU of its node."""
    await fleet.running.until(workload.id, _S.RUNNING, limit_seconds=LIMIT_SECONDS)
    pods = await api.items(f"/api/v1/namespaces/{workload.namespace}/pods")
    (pod,) = [each for each in pods if each["metadata"]["labels"]["job-name"] == workload.job_name]
    agent = fleet.agents[NodeName(pod["spec"]["nodeName"])]
    agent.run(pod["metadata"]["uid"], index, duty_permille=duty_permille)
    return GpuUuid(agent.gpus[index].uuid)


async def test_a_resting_sandbox_is_warned_suspended_and_settled_while_a_job_beside_it_works_on(
    fleet: Fleet, api: ApiClient
) -> None:
    running, service = fleet.running, fleet.running.service
    working = await running.submit("ada", "sleep", "36000")
    resting = await running.submit(
        *("bao", "sleep", "36000"), kind=WorkloadKind.SANDBOX, name="nap", time_limit_ms=3_600_000
    )
    busy_gpu = await occupy(fleet, working, api, 1, duty_permille=900)
    idle_gpu = await occupy(fleet, resting, api, 2, duty_permille=0)

    async def holders() -> dict[GpuUuid, str]:
        return {uuid: service.world.readings.attempt_of_gpu.get(uuid, "") for uuid in (busy_gpu, idle_gpu)}

    (at_work,), (at_rest,) = running.attempts(working.id), running.attempts(resting.id)
    await eventually(holders, lambda found: found == {busy_gpu: at_work.id, idle_gpu: at_rest.id}, LIMIT_SECONDS)
    suspended = await running.until(resting.id, _S.STOPPED, limit_seconds=LIMIT_SECONDS)

    assert set(running.reasons(resting.id)) >= {Reason.IDLE_WARNING, Reason.IDLE}
    events = await api.items(f"/apis/events.k8s.io/v1/namespaces/{resting.namespace}/events")
    assert Reason.IDLE_WARNING in {
        event["reason"] for event in events if event["regarding"]["name"] == suspended.job_name
    }
    (decision,) = [each for each in service.views.reclaims(OPERATOR) if each.workload_id == resting.id]
    assert (decision.is_taken, decision.action) == (True, "suspend")
    held = sum(hold.amount for hold in running.holds(resting.id))
    charged, _ = running.charged(resting.id)
    assert 0 < charged < held
    running.assert_settled(resting.id)
    now = service.clock.now()
    statement = service.views.statement(running.caller("bao"), None, now)
    (back,) = [each for each in statement.returned if each.workload_id == resting.id]
    assert (back.reason, back.hours_back_ms) == (Reason.IDLE, held - charged)

    assert (await running.workload(working.id)).state is _S.RUNNING
    assert Reason.IDLE_WARNING not in running.reasons(working.id)
    account = service.views.conservation(OPERATOR, None, now)
    assert (account.total.unexplained_ms, account.unexplained) == (0, ())
    with service.store.reading() as books:
        assert books.samples.refusals() == []
        read = {uuid: books.samples.windows([uuid], Instant(0), now) for uuid in (busy_gpu, idle_gpu)}
    for windows in read.values():
        assert all(after.start >= before.end for before, after in pairwise(windows))
    await running.cancel("ada", working.id)
    await running.until(working.id, _S.CANCELLED, limit_seconds=LIMIT_SECONDS)
