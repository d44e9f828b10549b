"""Several agents and the service: real processes on the fake library, posting over loopback to the real API.

What they say ends where people look: whose each GPU is, how busy, and whether anything was lost on the way.
"""

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from scheduler.adapters.sql.store import open_store
from scheduler.decision.plan import Launch, Plan
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.observations import ClusterChanges, ObservedPod, PodPhase
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import AttemptId, GpuClassName, GpuUuid, Instant, JobUid, NodeName, PodUid, PoolName
from scheduler.domain.units import PriorityClassName as Class
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import ClusterKind, Settings
from scheduler.lifecycle.running.observe import observe
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.writing.batch import changing
from scheduler.metering.use import Stretch
from tests.entrypoints.company import POLICY, SYSTEM, HandClock, SilentCluster, engineer_id, small_company, token_of
from tests.entrypoints.serving import served
from tests.nvml.agent_process import AgentProcess
from tests.nvml.machine import FakeMachine, Gpu, Job, Machine
from tests.nvml.scenario import write_proc, write_process
from tests.plugins.polling import Seen, eventually

NODES = ("node-0", "node-1", "node-2")
POD = PodUid(str(uuid.UUID(int=7)))
PID = 4242
OPERATOR = Caller("olga", frozenset({Role.OPERATOR}))


@dataclass
class Server:
    """The service that agents post to. Its clock is the agents' own, which is the machine's."""

    service: Service
    address: str = ""

    def set_clock(self) -> None:
        assert isinstance(self.service.clock, HandClock)
        self.service.clock.at = now_ms()

    def lost(self) -> list[str]:
        """Codes of refusals, but for that of an agent whose inventory has not come yet: those windows wait in its spool."""
        with self.service.store.reading() as books:
            return [each.code for each in books.samples.refusals() if each.code != "unknown-node"]

    def target(self, node: str) -> "Address":
        return Address(self.address, token_of(node))

    def stretches(self, gpu: str) -> list[Stretch]:
        with self.service.store.reading() as books:
            return list(books.samples.windows([GpuUuid(gpu)], Instant(0), Instant(2**62)))


@dataclass
class Address:
    address: str
    token: str


def gpu(node: str, index: int) -> str:
    return f"GPU-{node}-{index}"


def now_ms() -> Instant:
    return Instant(time.time_ns() // 1_000_000)


async def until(server: Server, look: Callable[[], Seen], accept: Callable[[Seen], bool]) -> Seen:
    """The service's clock goes on with the machine's, however long it takes."""

    async def looked() -> Seen:
        server.set_clock()
        return look()

    return await eventually(looked, accept)


@contextmanager
def running(url: str, *, is_first: bool) -> Iterator[Server]:
    """The service over this database: a new company, or the one that is there."""
    if is_first:
        service = small_company(url)
        for node in NODES:
            agent = frozenset({Role.AGENT})
            service.administration.issue_token(SYSTEM, f"node:{node}", agent, hash_of(token_of(node)), now=now_ms())
    else:
        settings = Settings(cluster=ClusterKind.KUBERNETES, database=url, policy=POLICY)
        service = build(settings, store=open_store(url), clock=HandClock(), cluster=SilentCluster())
    server = Server(service)
    server.set_clock()
    with served(service, with_loops=False) as server.address:
        yield server


def launch(service: Service) -> AttemptId:
    """A job with one GPU of node-0, whose pod runs."""
    spec = WorkloadSpec(
        *("train", WorkloadKind.JOB, None, (GpuClassName("H100"),), Class("off-peak"), 3_600_000),
        pod=PodRequest(1, 1000, 1024),
        image="registry.example.com/train:1",
    )
    now = service.clock.now()
    ada = engineer_id(service, "ada")
    workload = service.commands.submit(Caller("ada", frozenset({Role.ENGINEER}), ada), spec, now=now)
    placement = Placement(((NodeName("node-0"), 1),))
    plan = Plan(
        now,
        launches=(Launch(workload.id, spec.gpu_classes[0], placement, PoolName("research"), (), is_funded=False),),
    )
    with changing(service.store, service.world, now) as batch:
        assert record(batch, plan, service.ids.new) == []
    job = JobUid("job-1")
    with changing(service.store, service.world, now) as batch:
        batch.change_workload(service.world.workloads[workload.id], job_uid=job)
    attempt_id = service.world.attempt_of[workload.id]
    pod = ObservedPod(
        *(POD, "train-0", "allot", job, PodPhase.RUNNING, 1, NodeName("node-0")),
        started_at=Instant(now - 1_000),
        attempt_id=attempt_id,
    )
    with changing(service.store, service.world, now) as batch:
        observe(batch, ClusterChanges(pods=(pod,)))
    return attempt_id


@pytest.fixture
async def fleet(library: Path, tmp_path: Path) -> AsyncIterator[list[AgentProcess]]:
    """An agent for each node, not yet started: two GPUs each, and a busy process of the pod on the first of node-0."""
    agents = []
    for node in NODES:
        directory = tmp_path / node
        fake = FakeMachine(directory / "machine", library)
        jobs = (Job(0, pid=PID, duty_permille=1_000),) if node == "node-0" else ()
        gpus = tuple(Gpu(gpu(node, n), bus=f"00000000:{n + 1:02x}:00.0", minor=n) for n in range(2))
        fake.describe(Machine(gpus=gpus, script=jobs, booted_ms=now_ms() - 60_000))
        proc = write_proc(directory / "proc")
        (proc / "sys/kernel/random").mkdir(parents=True)
        (proc / "sys/kernel/random/boot_id").write_text(f"boot-of-{node}\n")
        scope = f"kubepods-pod{POD.replace('-', '_')}.slice/cri-containerd-{'ab' * 32}.scope"
        write_process(proc, PID, f"0::/kubepods.slice/{scope}")
        agents.append(AgentProcess(fake, directory, node=node))
    yield agents
    for agent in agents:
        await agent.end()


async def start(fleet: list[AgentProcess], server: Server) -> None:
    for agent in fleet:
        await agent.start(server.target(agent.node), "--proc", str(agent.directory / "proc"))


def assert_without_gap_or_duplicate(stretches: list[Stretch]) -> None:
    for before, after in pairwise(stretches):
        assert (after.sequence, after.start) == (before.sequence + 1, before.end)


async def test_what_several_agents_read_is_shown_with_its_owner(fleet: list[AgentProcess], tmp_path: Path) -> None:
    with running(f"sqlite:///{tmp_path}/allot.db", is_first=True) as server:
        attempt_id = launch(server.service)
        await start(fleet, server)
        busy, uuids = gpu("node-0", 0), [gpu(node, n) for node in NODES for n in range(2)]
        await until(server, lambda: [len(server.stretches(u)) for u in uuids], lambda counts: min(counts) >= 4)
        assert server.service.world.readings.attempt_of_gpu == {busy: attempt_id}
        cells = {
            cell.uuid: cell
            for node in server.service.views.cluster(OPERATOR, server.service.clock.now()).nodes
            for cell in node.gpus
        }
        assert (cells[GpuUuid(busy)].owner, cells[GpuUuid(busy)].workload_name) == ("Ada", "train")
        assert (cells[GpuUuid(busy)].utilization_percent or 0) > 90
        assert cells[GpuUuid(gpu("node-2", 1))].utilization_percent == 0
        with server.service.store.reading() as books:
            use = books.samples.use_of([attempt_id])[attempt_id]
        assert server.lost() == []
        assert (use.utilization_permille or 0) > 900
        assert use.millijoules > 0
        for uuid_ in uuids:
            assert_without_gap_or_duplicate(server.stretches(uuid_))


async def test_a_service_and_agents_that_start_again_go_on_where_they_were(
    fleet: list[AgentProcess], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/allot.db"
    idle = gpu("node-1", 0)
    with running(url, is_first=True) as server:
        await start(fleet, server)
        await until(server, lambda: server.stretches(idle), lambda found: len(found) >= 3)
    for agent in fleet:
        await agent.kill()
    with running(url, is_first=False) as server:
        before = len(server.stretches(idle))
        await start(fleet, server)
        await until(server, lambda: server.stretches(idle), lambda found: len(found) >= before + 4)
        assert_without_gap_or_duplicate(server.stretches(idle))
        assert server.lost() == []


async def test_an_agent_with_the_token_of_another_node_changes_nothing(
    fleet: list[AgentProcess], tmp_path: Path
) -> None:
    with running(f"sqlite:///{tmp_path}/allot.db", is_first=True) as server:
        impostor = fleet[1]
        await impostor.start(server.target("node-0"), "--proc", str(impostor.directory / "proc"))

        def refused() -> list[tuple[str, str]]:
            with server.service.store.reading() as books:
                return [(each.node, each.code) for each in books.samples.refusals()]

        await until(server, refused, lambda found: found == [("node-0", "token-of-another-node")])
        assert server.service.world.readings.inventories == {}
        assert server.service.world.readings.windows == {}
