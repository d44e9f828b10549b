"""What of the world the decision has not been given yet."""

from scheduler.decision.snapshot import Changes, Reservation
from scheduler.domain.allowances import AllowanceBalance, Holder
from scheduler.domain.brakes import Pause, Stop
from scheduler.domain.cluster import Node
from scheduler.domain.guards import PastSpend
from scheduler.domain.policy import Policy
from scheduler.domain.terms import Prices
from scheduler.domain.units import AllowanceId, AttemptId, EngineerId, NodeName, TierName, WorkloadId
from scheduler.domain.usage import DecayedUse
from scheduler.domain.workloads import Attempt, Workload, WorkloadState


class Pending:
    """Changes not yet given to the decision, of each thing the latest."""

    def __init__(self) -> None:
        self.policy: Policy | None = None
        self.nodes: dict[NodeName, Node | None] = {}
        self.queued: dict[WorkloadId, Workload | None] = {}
        self.attempts: dict[AttemptId, Attempt | None] = {}
        self.launched: dict[WorkloadId, Workload | None] = {}
        self.balances: dict[AllowanceId, AllowanceBalance | None] = {}
        self.reservations: dict[WorkloadId, Reservation | None] = {}
        self.tiers: dict[EngineerId, TierName | None] = {}
        self.usage: dict[EngineerId, DecayedUse | None] = {}
        self.spent: dict[Holder, PastSpend | None] = {}
        self.pauses: tuple[Pause, ...] | None = None
        self.stops: tuple[Stop, ...] | None = None
        self.prices: Prices | None = None

    def note(self, workload: Workload) -> None:
        """It waits, occupies something, or neither."""
        self.queued[workload.id] = workload if workload.state is WorkloadState.QUEUED else None
        self.launched[workload.id] = workload if workload.state.is_live else None

    def as_changes(self) -> Changes:
        return Changes(
            policy=self.policy,
            nodes=self.nodes,
            queued=self.queued,
            attempts=self.attempts,
            launched=self.launched,
            balances=self.balances,
            reservations=self.reservations,
            tiers=self.tiers,
            usage=self.usage,
            spent=self.spent,
            pauses=self.pauses,
            stops=self.stops,
            prices=self.prices,
        )
