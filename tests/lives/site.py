"""What outlives the service, and may fail it: its clock, its cluster with agents on the nodes, and its database."""

from dataclasses import dataclass, field
from random import Random

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.actions import Action, ActionOutcome, ActionResult
from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.domain.units import MS_PER_MINUTE, Instant, NodeName, PodUid
from scheduler.domain.workloads import Workload, WorkloadKind
from scheduler.metering.windows import Window
from scheduler.simulation.agents import SimulatedAgents
from scheduler.simulation.cluster import SimulatedCluster
from scheduler.simulation.fates import Fate, Pattern
from scheduler.simulation.jobs import SimulatedJob, SimulatedPod
from scheduler.simulation.model import ClusterModel
from scheduler.simulation.sensors import SimulatedSensors
from tests.e2e.crashing import MortalStore
from tests.e2e.dying import Killed
from tests.e2e.virtual_clock import VirtualClock
from tests.lives.company import MACHINES
from tests.plugins.migrated import open_migrated

SAMPLE_MS = MS_PER_MINUTE


class RealClock(VirtualClock):
    """The service takes it for a real one: it minds how long it has not heard of the cluster."""

    @property
    def is_simulated(self) -> bool:
        return False


class ReachedCluster(SimulatedCluster):
    """A cluster that may be out of reach. It keeps every pod that there ever was, as it came to its end."""

    def __init__(self, model: ClusterModel, clock: VirtualClock) -> None:
        super().__init__(model, clock)
        self.is_away = False
        self.pods: dict[PodUid, tuple[SimulatedJob, SimulatedPod]] = {}

    @property
    def is_reachable(self) -> bool:
        return not self.is_away

    def carry_out(self, action: Action) -> ActionOutcome:
        if self.is_away:
            return ActionOutcome(action, ActionResult.RETRY, "out of reach")
        outcome = self._carry_out(action)
        for job in self.model.jobs.values():
            self.pods |= {uid: (job, pod) for uid, pod in job.pods.items()}
        return outcome


@dataclass
class Trouble:
    """What comes after so many commits: the process dies at one, or the database takes none of the next so many."""

    commits_left: int | None = None
    failures_left: int = 0
    """0 where it is the process that dies."""

    def begin(self, commits_left: int | None, failures_left: int = 0) -> None:
        self.commits_left, self.failures_left = commits_left, failures_left

    def reach(self, name: str) -> None:
        is_fatal = self.failures_left == 0
        if self.commits_left is None or (name == "after a commit" and not is_fatal):
            return
        if self.commits_left > 0:
            self.commits_left -= 1
        elif is_fatal:
            raise Killed(name)
        else:
            self.failures_left -= 1
            if self.failures_left == 0:
                self.commits_left = None
            raise Unavailable("the database does not answer", code=RefusalCode.DATABASE_UNAVAILABLE)


class FailingStore(MortalStore):
    """A store that fails its service, and stays as it is when that one is over."""

    @property
    def whole(self) -> SqlStore:
        return self._store

    def close(self) -> None:
        """Another life of the service goes on with it."""

    def close_for_good(self) -> None:
        self._store.close()


@dataclass
class Site:
    """The cluster's agents send what they have read when there is a service to take it."""

    starts_at: Instant
    seed: int
    trouble: Trouble = field(default_factory=Trouble)
    unsent: list[Window] = field(default_factory=list)
    lost: set[NodeName] = field(default_factory=set)
    """Nodes that were lost at any time."""

    def __post_init__(self) -> None:
        self.clock = RealClock(self.starts_at)
        self.model = ClusterModel(MACHINES, self._fate_of)
        self.model.advance(self.starts_at)
        self.cluster = ReachedCluster(self.model, self.clock)
        self.agents = SimulatedAgents(SimulatedSensors(lambda: self.model), "life", sample_ms=SAMPLE_MS)
        self.store = FailingStore(open_migrated(), self.trouble)

    def move(self, until: Instant) -> None:
        """Let time pass; the agents read their sensors in it."""
        while (at := min(until, Instant(self.clock.now() + SAMPLE_MS))) > self.clock.now():
            self.clock.move_to(at)
            self.model.advance(at)
            self.unsent += self.agents.observe(at)

    def lose(self, name: NodeName) -> None:
        if self.model.is_ready(name):
            self.model.lose(name)
            self.lost.add(name)

    def mend(self) -> None:
        """Every node answers, and takes pods."""
        for machine in MACHINES:
            if not self.model.is_ready(machine.name):
                self.model.recover(machine.name)
            self.model.cordon(machine.name, is_cordoned=False)

    def _fate_of(self, workload: Workload) -> Fate:
        chance, spec = Random(f"{self.seed}/{workload.id}"), workload.spec
        is_endless = spec.kind is WorkloadKind.SANDBOX or chance.random() < 0.1
        return Fate(
            run_ms=None if is_endless else int(spec.time_limit_ms * chance.uniform(0.01, 1.3)),
            exit_code=chance.choice((0, 0, 0, 0, 1, 137)),
            checkpoint_every_ms=chance.choice((0, 60_000, 600_000, 2_700_000)),
            start_ms=chance.choice((1_000, 2_500, 2_500, 60_000, 60_000, 200_000, 400_000)),
            termination_ms=chance.choice((0, 1_500, 20_000, 100_000, 600_000)),
            pattern=chance.choice((Pattern.BUSY, Pattern.IDLE, Pattern.INTERACTIVE)),
        )
