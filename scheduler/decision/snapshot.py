"""What a decision looks at, and the changes between two of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.domain.allowances import AllowanceBalance, Holder
from scheduler.domain.brakes import Pause, Stop
from scheduler.domain.cluster import Node, Placement
from scheduler.domain.guards import PastSpend
from scheduler.domain.policy import Policy
from scheduler.domain.terms import Prices
from scheduler.domain.units import (
    AllowanceId,
    AttemptId,
    EngineerId,
    GpuClassName,
    Instant,
    NodeName,
    TierName,
    WorkloadId,
)
from scheduler.domain.usage import DecayedUse
from scheduler.domain.values import value
from scheduler.domain.workloads import Attempt, Workload


@dataclass(frozen=True, slots=True)
class Reservation:
    """Capacity set aside for a workload whose victims are still ending; its holds are made already.

    It lapses at `until`: then the holds are released and the workload is judged anew. A move (`is_move`) is of an attempt
    that is being stopped so as to start here: the place was free when it was chosen, is taken from then on, and waits
    for it as long as its nodes last.
    """

    workload_id: WorkloadId
    gpu_class: GpuClassName
    placement: Placement
    until: Instant
    is_borrowed: bool = False
    is_move: bool = False

    @property
    def pods(self) -> int:
        return self.placement.pods


@dataclass(frozen=True)
class Snapshot:
    """The world at `now`. `queued` are the workloads that wait, `attempts` those that may occupy GPUs, and `launched` the
    workloads that these are attempts of: nobody's is moved, or was old at its launch, who is not among them. `prices` are
    the highest of the time ahead: money pays at these.

    `balances` are the open allowances, as of the transaction that read them. `tiers` says which tier's limits an
    engineer is under; who is not named is under the limits for everybody alone. `usage` is what people used in
    attempts that are over, decayed with the policy's half-life; `spent` what those used of the windows of guards.
    """

    now: Instant
    policy: Policy
    nodes: Mapping[NodeName, Node] = field(default_factory=dict)
    queued: Mapping[WorkloadId, Workload] = field(default_factory=dict)
    attempts: Mapping[AttemptId, Attempt] = field(default_factory=dict)
    launched: Mapping[WorkloadId, Workload] = field(default_factory=dict)
    balances: Mapping[AllowanceId, AllowanceBalance] = field(default_factory=dict)
    reservations: Mapping[WorkloadId, Reservation] = field(default_factory=dict)
    tiers: Mapping[EngineerId, TierName] = field(default_factory=dict)
    usage: Mapping[EngineerId, DecayedUse] = field(default_factory=dict)
    spent: Mapping[Holder, PastSpend] = field(default_factory=dict)
    pauses: tuple[Pause, ...] = ()
    stops: tuple[Stop, ...] = ()
    prices: Prices | None = None


@value(frozen=True)
class Changes:
    """What differs from the last snapshot: the new value, or None for what is gone. None for a field: unchanged."""

    policy: Policy | None = None
    nodes: Mapping[NodeName, Node | None] = field(default_factory=dict)
    queued: Mapping[WorkloadId, Workload | None] = field(default_factory=dict)
    attempts: Mapping[AttemptId, Attempt | None] = field(default_factory=dict)
    launched: Mapping[WorkloadId, Workload | None] = field(default_factory=dict)
    balances: Mapping[AllowanceId, AllowanceBalance | None] = field(default_factory=dict)
    reservations: Mapping[WorkloadId, Reservation | None] = field(default_factory=dict)
    tiers: Mapping[EngineerId, TierName | None] = field(default_factory=dict)
    usage: Mapping[EngineerId, DecayedUse | None] = field(default_factory=dict)
    spent: Mapping[Holder, PastSpend | None] = field(default_factory=dict)
    pauses: tuple[Pause, ...] | None = None
    stops: tuple[Stop, ...] | None = None
    prices: Prices | None = None
