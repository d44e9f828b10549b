"""The values that views return. Instants are UTC milliseconds, hours are in integer standard GPU-milliseconds.

`owner` fields are opaque ids; `owner_name` is the person's name where the reader may see it, else empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.domain.brakes import Pause
from scheduler.domain.idleness import CurvePoint
from scheduler.domain.reasons import Evidence, Reason
from scheduler.domain.units import Instant
from scheduler.finance.burn import Jump
from scheduler.lifecycle.memory.observed_only import Observed
from scheduler.lifecycle.views.quote_shapes import QuoteView
from scheduler.lifecycle.views.unit_burn import UnitBurn
from scheduler.lifecycle.views.usage_shapes import IdleView, UsageView


@dataclass(frozen=True, slots=True)
class VerdictView:
    """A verdict as a person reads it: the sentence, what to do next, and behind it the code and its numbers."""

    workload_id: str
    workload_name: str
    at: Instant
    reason: Reason
    sentence: str
    next_step: str
    evidence: Evidence
    seq: int = 0


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """A workload with its verdict. `gpu_class`, `nodes`, `started_at` are those of the live or last attempt.

    `elapsed_ms` is the running time of that attempt, `charged` the standard GPU-milliseconds charged over all
    attempts and `asked` what the time limit costs at most. `rank` is the place in its pool's queue, from 1.
    """

    id: str
    name: str
    kind: str
    owner: str
    owner_name: str
    team: str
    project: str | None
    state: str
    verdict: VerdictView
    pods: int
    gpus_per_pod: int
    gpu_classes: tuple[str, ...]
    gpu_class: str
    priority_class: str
    time_limit_ms: int
    submitted_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    elapsed_ms: int
    charged: int
    asked: int
    attempts: int
    nodes: tuple[str, ...]
    is_funded: bool
    rank: int | None = None
    address: str = ""
    namespace: str = ""
    job_name: str = ""
    topology: str = ""
    """What its pods ask of where they stand to each other: `require:rack`."""
    utilization_percent: int | None = None
    power_watts: int | None = None
    memory_used_bytes: int | None = None
    min_pods: int | None = None
    """Of an elastic job, the fewest that it runs with."""
    pods_now: int = 0
    """Of its pods, those that its attempt has; 0 where it has none."""
    idle_since: Instant | None = None
    """Since when all of its GPUs rest; these four for those alone who may see how it uses its GPUs."""

    @property
    def gpus(self) -> int:
        return self.pods * self.gpus_per_pod


@dataclass(frozen=True, slots=True)
class WorkloadPage:
    items: tuple[WorkloadView, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class AttemptView:
    id: str
    number: int
    state: str
    gpu_class: str
    nodes: tuple[str, ...]
    gpus: int
    weight: int
    class_factor: int
    is_funded: bool
    is_borrowed: bool
    launched_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    stop_reason: str
    gpu_ms: int
    charged: int
    held: int
    drawn: tuple[str, ...] = ()
    """What other units paid, and pay at the terms of its grant; `charged` and `held` are all of it in standard time."""
    pods: int = 1
    sizes: str = ""
    """Of an elastic one, the pods that it had one after the other: `8, 3, 5 of 8 pods`."""


@dataclass(frozen=True, slots=True)
class FactorView:
    """One factor of the order: its name, its value as text, and what it means."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class ExplainView:
    """Everything behind a verdict: the factors of the order, the verdicts as they fell, attempts with charges."""

    workload: WorkloadView
    factors: tuple[FactorView, ...]
    verdicts: tuple[VerdictView, ...]
    attempts: tuple[AttemptView, ...]
    payers: tuple[str, ...]
    """The allowances that may pay for it, in funding order, as phrases."""
    forecast: QuoteView | None = None
    """Of what waits, for who may see its owner's balance."""
    usage: tuple[UsageView, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    """Of the live or last attempt."""
    idle: IdleView | None = None


@dataclass(frozen=True, slots=True)
class AllowanceView:
    id: str
    name: str
    source: str
    holder_kind: str
    holder: str
    amount: int
    available: int
    held: int
    charged: int
    expires_at: Instant | None
    note: str
    """Terms as a phrase: what it pays for, until when."""
    unit: str = "standard"
    """Of all amounts here. Only GPU time is hours."""
    left: str = ""
    """`available` in words, with its unit."""
    held_shown: str = ""
    """`held` likewise; empty where nothing is."""
    promised_left: str = ""
    is_frozen: bool = False


@dataclass(frozen=True, slots=True)
class BalanceView:
    """What somebody has left. `pace` in per mille: above 0 is behind plan. `runs_out` is a band, not a promise."""

    owner: str
    owner_name: str
    team: str
    tier: str
    available: int
    held: int
    charged: int
    granted: int
    pace: int
    period_name: str
    period_starts_at: Instant
    period_ends_at: Instant
    runs_out: tuple[Instant, Instant] | None
    history: tuple[tuple[Instant, int], ...]
    """(instant, available) over the period, at most 60 points, for the curve."""
    allowances: tuple[AllowanceView, ...]
    jumps: tuple[Jump, ...] = ()
    """Days of the last four weeks on which far more was used than is usual."""
    units: tuple[UnitBurn, ...] = ()
    """Their own allowances in other units."""


@dataclass(frozen=True, slots=True)
class GpuView:
    """One GPU. Absent readings are None, never 0. `state`: busy, light, idle, free, outside, drained, unknown.

    Which work holds it is told to those who may see that work, its owner to operators and auditors.
    """

    index: int
    uuid: str
    state: str
    utilization_percent: int | None = None
    power_watts: int | None = None
    memory_used_bytes: int | None = None
    workload_id: str = ""
    workload_name: str = ""
    owner: str = ""
    team: str = ""


@dataclass(frozen=True, slots=True)
class NodeView:
    name: str
    gpu_class: str
    gpus: tuple[GpuView, ...]
    accepts_work: bool
    free: int
    outside: int
    taints: tuple[str, ...] = ()
    """Where it accepts no work: its taints that pods of the class do not tolerate."""


@dataclass(frozen=True, slots=True)
class BrakesView:
    pauses: tuple[Pause, ...]
    stopped_gpus: tuple[tuple[str, int, int | None], ...]
    """(loop, GPUs stopped in ten minutes, its limit)."""


@dataclass(frozen=True, slots=True)
class ClusterView:
    now: Instant
    is_simulated: bool
    gpus: int
    in_use: int
    busy: int
    idle: int
    queued: int
    running: int
    oldest_wait_ms: int
    nodes: tuple[NodeView, ...]
    brakes: BrakesView


@dataclass(frozen=True, slots=True)
class ObservedView:
    """What a service that only observes would have done, newest first; of one that acts nothing is kept.

    `open_counts` says how many of each kind it would do now, to anybody's work.
    """

    is_observing: bool
    open_counts: Mapping[str, int]
    items: tuple[Observed, ...]
