"""The service in this process on the real control plane, and what a test asks of it."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from scheduler.adapters.clock import SystemClock
from scheduler.adapters.kubernetes.cluster import ClusterSettings, KubernetesCluster
from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.domain.cluster import PodRequest
from scheduler.domain.people import Caller, Engineer
from scheduler.domain.reasons import Reason
from scheduler.domain.units import GpuClassName, NodeName, PriorityClassName, ProjectName, WorkloadId
from scheduler.domain.workloads import Attempt, Workload, WorkloadKind, WorkloadSpec, WorkloadState
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import ClusterKind, Settings
from scheduler.ledger.holds import Hold, HoldState
from scheduler.ledger.journal import AccountKind, TransactionKind
from scheduler.ports import Cluster
from tests.plugins.polling import DEADLINE_SECONDS, eventually

IMAGE = "registry.example/train:1"


@dataclass(frozen=True)
class Site:
    """What outlives a service: its database, its policy and people, and the cluster."""

    folder: Path
    kubeconfig: Path
    namespace: str

    def settings(self, **changed: object) -> Settings:
        values: dict[str, object] = {
            "cluster": ClusterKind.KUBERNETES,
            "kubeconfig": str(self.kubeconfig),
            "database": f"sqlite:///{self.folder}/allot.db",
            "namespace": self.namespace,
            "namespaces": (self.namespace,),
            "policy": self.folder / "policy.yaml",
            "people": self.folder / "people.yaml",
        }
        return Settings(**{**values, **changed})  # type: ignore[arg-type]  # by name

    def cluster(self) -> KubernetesCluster:
        """As bootstrap makes it."""
        settings = ClusterSettings(namespaces=(self.namespace,))
        return KubernetesCluster(
            partial(load_credentials, str(self.kubeconfig)), settings, now=SystemClock().now, jitter=random.random
        )


class Running:
    """A started service."""

    def __init__(self, service: Service, threads: ThreadPoolExecutor) -> None:
        self.service = service
        self._threads = threads

    @classmethod
    async def start(
        cls, site: Site, *, through: Callable[[Cluster], Cluster] | None = None, **changed: object
    ) -> "Running":
        """`through` puts something between the service and its cluster."""
        cluster = through(site.cluster()) if through is not None else None
        service = build(site.settings(**changed), cluster=cluster)
        threads = ThreadPoolExecutor(8)
        asyncio.get_running_loop().set_default_executor(threads)
        await service.start()
        running = cls(service, threads)
        await eventually(running.nodes, lambda nodes: nodes > 0)
        return running

    async def close(self) -> None:
        await self.service.close()
        self._threads.shutdown()

    async def nodes(self) -> int:
        return len(self.service.world.nodes)

    async def until_it_knows(self, *names: NodeName) -> None:
        """Nodes that were added while it runs: it hears of them a moment later."""

        async def missing() -> set[NodeName]:
            return set(names) - set(self.service.world.nodes)

        await eventually(missing, lambda seen: not seen)

    # --- asking --------------------------------------------------------------------------------------------------

    def engineer(self, subject: str) -> Engineer:
        return next(e for e in self.service.world.people.values() if e.subject == subject)

    def caller(self, subject: str) -> Caller:
        engineer = self.engineer(subject)
        return Caller(subject, engineer.roles, engineer.id, engineer.team)

    async def submit(self, subject: str, *command: str, **fields: object) -> Workload:
        spec = replace(job(*command), **fields)  # type: ignore[arg-type]  # by name
        return await asyncio.to_thread(
            self.service.commands.submit, self.caller(subject), spec, now=self.service.clock.now()
        )

    async def cancel(self, subject: str, workload_id: WorkloadId) -> Workload:
        return await asyncio.to_thread(
            self.service.commands.cancel, self.caller(subject), workload_id, now=self.service.clock.now()
        )

    # --- looking -------------------------------------------------------------------------------------------------

    async def workload(self, workload_id: WorkloadId) -> Workload:
        with self.service.store.reading() as books:
            found = books.workloads.get(workload_id)
        assert found is not None
        return found

    async def until(
        self, workload_id: WorkloadId, *states: WorkloadState, limit_seconds: float = DEADLINE_SECONDS
    ) -> Workload:
        return await eventually(lambda: self.workload(workload_id), lambda seen: seen.state in states, limit_seconds)

    def attempts(self, workload_id: WorkloadId) -> list[Attempt]:
        with self.service.store.reading() as books:
            return books.attempts.of_workload(workload_id)

    def holds(self, workload_id: WorkloadId) -> list[Hold]:
        attempts = self.attempts(workload_id)
        with self.service.store.reading() as books:
            return [hold for attempt in attempts for hold in books.holds.of_attempt(attempt.id)]

    def reasons(self, workload_id: WorkloadId) -> list[Reason]:
        """Its verdicts, oldest first."""
        with self.service.store.reading() as books:
            return [verdict.reason for verdict in reversed(books.verdicts.of_workload(workload_id))]

    def charged(self, workload_id: WorkloadId) -> tuple[int, int]:
        """Over all attempts, from the journal: standard and physical GPU-milliseconds."""
        amount = gpu_ms = 0
        for attempt in self.attempts(workload_id):
            with self.service.store.reading() as books:
                for entry in books.journal.entries(attempt_id=attempt.id):
                    if entry.account.kind is AccountKind.CHARGED and entry.kind is TransactionKind.CHARGE:
                        amount += entry.amount
                        gpu_ms += entry.gpu_ms
        return amount, gpu_ms

    def assert_settled(self, workload_id: WorkloadId) -> None:
        """Nothing of it is held any more, every cached balance is the journal's, and its pods stood where they were
        placed."""
        assert {hold.state for hold in self.holds(workload_id)} <= {HoldState.RESOLVED}
        with self.service.store.reading() as books:
            assert books.journal.differences() == []
            assert [hold for hold in books.holds.open_ones() if hold.workload_id == workload_id] == []
            for attempt in books.attempts.of_workload(workload_id):
                placed = {node for node, _ in attempt.placement.pods_by_node}
                stood = {run.node for run in books.attempts.pods_of([attempt.id]).get(attempt.id, ())} - {None}
                assert stood <= placed or attempt.elastic is not None, f"placed on {placed}, ran on {stood}"


def job(*command: str) -> WorkloadSpec:
    """A job of one H100 that runs this."""
    return WorkloadSpec(
        name="train",
        kind=WorkloadKind.JOB,
        project=ProjectName("aurora"),
        gpu_classes=(GpuClassName("H100"),),
        priority_class=PriorityClassName("standard"),
        time_limit_ms=600_000,
        pod=PodRequest(gpus=1, cpu_milli=500, memory_mib=256),
        image=IMAGE,
        command=command,
        grace_seconds=5,
    )
