"""A service on a simulated cluster that dies again and again, and a record of what its cluster really did.

The books are a SQLite file, the cluster is the model, and both outlive the service. Time is moved by hand, event by
event, so that the record misses nothing; it is made from the model's own pods, not from what the service is told.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.actions import Action, ActionOutcome, ActionResult, LaunchJob, ResizeJob
from scheduler.domain.observations import ClusterChanges
from scheduler.domain.periods import period_at
from scheduler.domain.units import Instant, NodeName
from scheduler.domain.workloads import Workload
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import Settings
from scheduler.lifecycle.awarding.periodic import grant_period
from scheduler.lifecycle.running.keep import keep_funded
from scheduler.lifecycle.writing.batch import changing
from scheduler.ports import Books
from scheduler.simulation.cluster import SimulatedCluster
from scheduler.simulation.fates import Fate
from scheduler.simulation.jobs import SimulatedPod
from scheduler.simulation.machines import A100, H100, Machine
from scheduler.simulation.model import ClusterModel
from tests.e2e.company import PEOPLE, POLICY
from tests.e2e.dying import Killed
from tests.e2e.virtual_clock import VirtualClock
from tests.plugins.migrated import open_migrated

BEGINS_AT = Instant(1_795_000_000_000)
NODES = (
    *(Machine(NodeName(f"h100-{index}"), H100, 8, 192_000, 2_000_000) for index in range(3)),
    *(Machine(NodeName(f"a100-{index}"), A100, 8, 128_000, 1_000_000) for index in range(3)),
)


class Points:
    """The points of a life at which it may end: it ends at the one that comes after so many others."""

    def __init__(self, chance: Random, mean: float) -> None:
        self._chance = chance
        self._mean = mean
        self.left = 0
        self.is_dead = False
        self.killed_at: dict[str, int] = {}

    def begin(self, *, is_mortal: bool = True) -> None:
        self.is_dead = False
        self.left = int(self._chance.expovariate(1 / self._mean)) if is_mortal else 1 << 60

    def reach(self, name: str) -> None:
        """Go on, or die here. The dead do nothing more."""
        if not self.is_dead and self.left > 0:
            self.left -= 1
            return
        if not self.is_dead:
            self.is_dead = True
            self.killed_at[name] = self.killed_at.get(name, 0) + 1
        raise Killed(name)


class Reached(Protocol):
    """Told of each point of a life that is passed; it may end there."""

    def reach(self, name: str) -> None: ...


class MortalStore:
    """The store of a process that may die around each of its transactions."""

    def __init__(self, store: SqlStore, points: Reached) -> None:
        self._store = store
        self._points = points

    @contextmanager
    def writing(self) -> Iterator[Books]:
        with self._store.writing() as books:
            yield books
            self._points.reach("before a commit")
        self._points.reach("after a commit")

    def reading(self) -> AbstractContextManager[Books]:
        return self._store.reading()

    def close(self) -> None:
        self._store.close()


@dataclass(slots=True)
class PodLife:
    """What a pod really did, in the model's exact instants."""

    attempt_id: str
    node: NodeName | None
    gpus: int
    started_at: Instant | None = None
    deleted_at: Instant | None = None
    ended_at: Instant | None = None

    def billable_ms(self, grace_seconds: int) -> int:
        """By whole-second stamps, and not beyond the grace asked for."""
        if self.started_at is None or self.ended_at is None:
            return 0
        start, end = (at // 1000 * 1000 for at in (self.started_at, self.ended_at))
        if self.deleted_at is not None:
            end = min(end, self.deleted_at // 1000 * 1000 + grace_seconds * 1000)
        return max(0, end - start) * self.gpus


@dataclass
class Truth:
    """Every pod that there ever was, and every launch that landed."""

    pods: dict[str, PodLife] = field(default_factory=dict)
    launches: list[tuple[str, str]] = field(default_factory=list)
    unbound: list[str] = field(default_factory=list)

    def note(self, model: ClusterModel) -> None:
        present: dict[str, tuple[str, int, SimulatedPod]] = {
            pod.uid: (job.attempt_id, job.gpus, pod) for job in model.jobs.values() for pod in job.pods.values()
        }
        for uid, (attempt_id, gpus, pod) in present.items():
            life = self.pods.setdefault(uid, PodLife(pod.attempt_id or attempt_id, pod.node, gpus))
            _update(life, pod)
        for uid, life in self.pods.items():
            if uid not in present and life.ended_at is None:
                life.ended_at = model.now

    def of_attempt(self, attempt_id: str) -> list[PodLife]:
        return [life for life in self.pods.values() if life.attempt_id == attempt_id]


def _update(life: PodLife, pod: SimulatedPod) -> None:
    life.node, life.started_at, life.deleted_at = pod.node, pod.started_at, pod.deleted_at
    if pod.finished_at is not None:
        life.ended_at = pod.finished_at


class MortalCluster(SimulatedCluster):
    """The simulated cluster as a process sees it that may die around each call and each report."""

    def __init__(self, model: ClusterModel, clock: VirtualClock, points: Points, truth: Truth) -> None:
        super().__init__(model, clock)
        self._points = points
        self._truth = truth

    async def changes(self, timeout_seconds: float) -> ClusterChanges:
        """Nothing happens while nobody moves the time: there is nothing to wait for."""
        seen = await super().changes(min(0.0, timeout_seconds))
        self._points.reach("with a report in hand")
        return seen

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        outcomes = []
        for action in actions:
            self._points.reach("before a call")
            (outcome,) = await super().apply([action])
            self._note(action, outcome)
            outcomes.append(outcome)
        self._points.reach("after the calls")
        return outcomes

    def _note(self, action: Action, outcome: ActionOutcome) -> None:
        self._truth.note(self.model)
        if isinstance(action, LaunchJob | ResizeJob) and outcome.result is ActionResult.DONE:
            if isinstance(action, LaunchJob):
                self._truth.launches.append((action.job_uid, action.attempt_id))
            job = self.model.jobs[action.job_uid]
            self._truth.unbound += [pod.name for pod in job.live_pods if pod.node is None]


@dataclass
class Site:
    """What outlives a service. `fates` says how the work of each name goes."""

    folder: Path
    points: Points
    fates: dict[str, Fate] = field(default_factory=dict)
    truth: Truth = field(default_factory=Truth)
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(BEGINS_AT))

    def __post_init__(self) -> None:
        (self.folder / "policy.yaml").write_text(POLICY)
        (self.folder / "people.yaml").write_text(PEOPLE)
        self.settings = Settings(
            database=f"sqlite:///{self.folder}/allot.db",
            policy=self.folder / "policy.yaml",
            people=self.folder / "people.yaml",
        )
        self.model = ClusterModel(NODES, self._fate_of)
        self.model.advance(BEGINS_AT)

    def _fate_of(self, workload: Workload) -> Fate:
        return self.fates[workload.spec.name]

    def open(self) -> SqlStore:
        return open_migrated(f"sqlite:///{self.folder}/allot.db")

    def begin(self, *, is_mortal: bool = True) -> Service:
        """Another life. Its start is no point of death: what it does before its first cycle is idempotent."""
        self.points.begin(is_mortal=False)
        cluster = MortalCluster(self.model, self.clock, self.points, self.truth)
        service = build(self.settings, store=MortalStore(self.open(), self.points), clock=self.clock, cluster=cluster)
        policy = service.world.require_policy()
        cluster.use_gpu_classes(policy.gpu_classes)
        with changing(service.store, service.world, self.clock.now()) as batch:
            grant_period(batch, period_at(self.clock.now(), policy.period, policy.time_zone))
        self.points.begin(is_mortal=is_mortal)
        return service

    def move(self, milliseconds: int) -> None:
        """Let time pass, and note everything that happens in it."""
        self.truth.note(self.model)
        until = Instant(self.clock.now() + milliseconds)
        while (at := self.model.next_event_at) is not None and at <= until:
            self.clock.move_to(at)
            self.model.advance(at)
            self.truth.note(self.model)
        self.clock.move_to(until)
        self.model.advance(until)
        self.truth.note(self.model)


def die_quietly(loop: asyncio.AbstractEventLoop) -> None:
    """A task that dies as it was meant to is not reported, though nobody was left to ask how it ended."""

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), Killed):
            loop.default_exception_handler(context)

    loop.set_exception_handler(report)


async def turn(service: Service, site: Site) -> None:
    """What the loops do in a moment: look, think, act, keep. Raises Killed where the service died in it."""
    await service.cycle.watch_once()
    service.cycle.wake()
    await service.cycle.run_once()
    await service.cycle.drain()
    await asyncio.to_thread(_keep, service)
    if site.points.is_dead:
        raise Killed("in a call")


def _keep(service: Service) -> None:
    with changing(service.store, service.world, service.clock.now()) as batch:
        keep_funded(batch)
