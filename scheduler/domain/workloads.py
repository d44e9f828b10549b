"""What engineers submit, the attempts to run it, and the tables of states that both go through."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.reasons import Reason
from scheduler.domain.topology import TopologyAsk
from scheduler.domain.units import (
    AttemptId,
    EngineerId,
    GpuClassName,
    Instant,
    JobUid,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    TeamName,
    WorkloadId,
)
from scheduler.domain.values import value


class WorkloadKind(StrEnum):
    JOB = "job"
    SANDBOX = "sandbox"
    BOOKING = "booking"
    """GPUs booked for a window. It has an attempt that is charged, and no Job."""


class Activity(StrEnum):
    """What the compute is for, as its owner says: tax treats these differently."""

    INFERENCE = "inference"
    FINE_TUNING = "fine-tuning"
    EXPERIMENT = "experiment"
    LEARNING = "learning"


class AttestedUse(StrEnum):
    """The owner's word for whose benefit it is. Without it nothing is attested."""

    BUSINESS = "business"
    PERSONAL = "personal"


class Origin(StrEnum):
    """How a workload came to us: through the API, or as a Job that somebody applied with kubectl."""

    API = "api"
    KUBECTL = "kubectl"


class WorkloadState(StrEnum):
    QUEUED = "queued"
    LAUNCHING = "launching"
    RUNNING = "running"
    STOPPING = "stopping"
    """Its pods are being ended; its GPUs are still taken."""
    STOPPED = "stopped"
    """A sandbox that its owner or idle reclaim stopped, and that `resume` queues again."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in {WorkloadState.COMPLETED, WorkloadState.FAILED, WorkloadState.CANCELLED}

    @property
    def is_live(self) -> bool:
        """Whether an attempt of it may occupy GPUs."""
        return self in {WorkloadState.LAUNCHING, WorkloadState.RUNNING, WorkloadState.STOPPING}


_S = WorkloadState

TRANSITIONS: dict[WorkloadState, frozenset[WorkloadState]] = {
    _S.QUEUED: frozenset({_S.LAUNCHING, _S.STOPPED, _S.CANCELLED, _S.COMPLETED, _S.FAILED}),
    _S.LAUNCHING: frozenset({_S.RUNNING, _S.STOPPING, _S.QUEUED, _S.COMPLETED, _S.FAILED, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.STOPPING, _S.COMPLETED, _S.FAILED, _S.QUEUED, _S.CANCELLED}),
    _S.STOPPING: frozenset({_S.QUEUED, _S.STOPPED, _S.CANCELLED, _S.COMPLETED, _S.FAILED}),
    _S.STOPPED: frozenset({_S.QUEUED, _S.CANCELLED}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset({_S.QUEUED}),
    _S.CANCELLED: frozenset(),
}
"""FAILED → QUEUED is a retry, which policy allows or not. QUEUED → COMPLETED: its Job ran in somebody else's hands."""


def require_transition(workload: WorkloadId, current: WorkloadState, to: WorkloadState) -> None:
    """Refuse with `wrong-state` what the table does not list."""
    if to not in TRANSITIONS[current]:
        raise Conflict(
            f"{workload} is {current.value} and cannot become {to.value}",
            code=RefusalCode.WRONG_STATE,
            expected="one of " + ", ".join(sorted(state.value for state in TRANSITIONS[current]))
            if TRANSITIONS[current]
            else "",
            remedy="submit it again as a new workload" if current.is_final else "",
        )


@dataclass(frozen=True, slots=True)
class ArrayPlace:
    """One of `count` indexes, from 0, of which at most `at_once` run (None: no limit)."""

    index: int
    count: int
    at_once: int | None = None


@value(frozen=True, slots=True)
class WorkloadSpec:
    """What was asked for: pods × GPUs per pod of one of the GPU classes, in order of preference.

    `project` None means personal work. `uses_compensation` is the owner's word that project work may be paid by
    their compensation. `time_limit_ms` is per attempt. `grace_seconds` is what a checkpoint needs after SIGTERM.
    `nodes_with` narrows the nodes by labels, as a Job's own nodeSelector does. `runtime_max_ms` bounds the running
    time of all attempts together. `after` are workloads that must have completed first: those that have are taken out.
    What could no longer end before `finish_by` is given up. `array` is its place among the indexes of an array.
    `topology` says where its pods are to stand to each other. `min_pods` makes it elastic: it starts with as many of
    its `pods` as fit and no fewer than these, and may give back those above (Slurm's `--nodes=min-max`).
    """

    name: str
    kind: WorkloadKind
    project: ProjectName | None
    gpu_classes: tuple[GpuClassName, ...]
    priority_class: PriorityClassName
    time_limit_ms: int
    pods: int = 1
    pod: PodRequest = PodRequest(gpus=1, cpu_milli=1000, memory_mib=1024)
    image: str = ""
    command: tuple[str, ...] = ()
    grace_seconds: int = 30
    uses_compensation: bool = False
    nodes_with: tuple[tuple[str, str], ...] = ()
    runtime_max_ms: int | None = None
    after: tuple[WorkloadId, ...] = ()
    finish_by: Instant | None = None
    array: ArrayPlace | None = None
    topology: TopologyAsk | None = None
    min_pods: int | None = None

    def runtime_limit(self, of_all_ms: int | None) -> int | None:
        """How long all attempts together may run: the tighter of its own word and the limit of all jobs."""
        if self.kind is WorkloadKind.SANDBOX:
            return None
        return min([limit for limit in (self.runtime_max_ms, of_all_ms) if limit is not None], default=None)

    activity: Activity | None = None
    attested_use: AttestedUse | None = None

    @property
    def latest_start(self) -> Instant | None:
        """The last instant at which it could start and use its time limit before `finish_by`."""
        return Instant(self.finish_by - self.time_limit_ms) if self.finish_by is not None else None

    @property
    def gpus(self) -> int:
        return self.pods * self.pod.gpus

    @property
    def pods_at_least(self) -> int:
        """With fewer it does not run."""
        return self.pods if self.min_pods is None else self.min_pods

    @property
    def at_minimum(self) -> "WorkloadSpec":
        """The same with as few pods as it runs with."""
        return self if self.min_pods is None else replace(self, pods=self.min_pods, min_pods=None)


@dataclass(frozen=True, slots=True)
class ElasticTerms:
    """Between how many pods an attempt may be resized, and what is asked of those that it grows by.

    The rest of what growing looks at stands on the attempt.
    """

    pods_min: int
    pods_max: int
    project: ProjectName | None = None
    uses_compensation: bool = False
    nodes_with: tuple[tuple[str, str], ...] = ()
    topology: TopologyAsk | None = None

    @classmethod
    def of(cls, spec: WorkloadSpec) -> "ElasticTerms | None":
        """None for work that runs with all of its pods or not at all."""
        if spec.min_pods is None:
            return None
        return cls(spec.min_pods, spec.pods, spec.project, spec.uses_compensation, spec.nodes_with, spec.topology)


@value(frozen=True, slots=True)
class PastSize:
    """How many pods an attempt had `until` it was resized."""

    until: Instant
    pods: int


@value(frozen=True, slots=True)
class Workload:
    """A submitted workload.

    `state_reason` says why it is in its state; `not_before` holds it back (backoff after a failed launch).
    `job_name` in `namespace` is its Job; `retries` counts the Jobs created after the first. `eligible_at` is when it may
    start by its owner's own word, where that was later than its submission: its begin time, the end of what it follows,
    its last resume. `ages_from` is since when it grows old, as was last recorded: of one engineer's work only so much
    does at once.
    """

    id: WorkloadId
    owner: EngineerId
    team: TeamName
    spec: WorkloadSpec
    submitted_at: Instant
    state: WorkloadState = WorkloadState.QUEUED
    state_reason: Reason = Reason.SUBMITTED
    state_since: Instant = Instant(0)
    origin: Origin = Origin.API
    namespace: str = ""
    job_name: str = ""
    job_uid: JobUid | None = None
    retries: int = 0
    not_before: Instant = Instant(0)
    version: int = 0
    eligible_at: Instant | None = None
    ages_from: Instant | None = None

    @property
    def waits_since(self) -> Instant:
        """What its age counts from: preemptions and retries do not change it. Else what was submitted, or used, long ago
        would go before everybody without ever having waited."""
        return self.submitted_at if self.eligible_at is None else max(self.submitted_at, self.eligible_at)

    @property
    def grows_old_from(self) -> Instant | None:
        """Since when it grows old; None while it does not: too much of its owner's does, or it began to wait anew."""
        return self.ages_from if self.ages_from is not None and self.ages_from >= self.waits_since else None


LASTING: Final = frozenset({"owner", "team", "submitted_at"})
"""What never changes of a workload: a store writes it once."""


class WorkloadTitle(NamedTuple):
    """What it is called, and whose project's work it is; None means personal."""

    name: str
    project: ProjectName | None


class AttemptState(StrEnum):
    LAUNCHING = "launching"
    """The intent is committed; no container has started yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    ENDED = "ended"


class HoldMode(StrEnum):
    FULL = "full"
    """The whole time limit is held, so that what starts can finish."""
    ROLLING = "rolling"
    """A slice is held and renewed."""


@value(frozen=True, slots=True)
class Attempt:
    """One launch of a workload, with the terms it was launched under: they stay though the policy may change.

    `started_at` is the first container start that the cluster stamped; `ended_at` the last confirmed end.
    `charged_gpu_ms` and `charged` are the cumulative totals posted so far, physical and standard.
    `held_until_gpu_ms` is the physical total that its holds cover. `stop_reason` is why it is being stopped.
    `submitted_at` is since when its workload waited; None where it was not recorded: then it is newer than nobody.
    """

    id: AttemptId
    workload_id: WorkloadId
    number: int
    owner: EngineerId
    team: TeamName
    pool: PoolName
    gpu_class: GpuClassName
    priority_class: PriorityClassName
    placement: Placement
    pod: PodRequest
    weight: PerMille
    class_factor: PerMille
    hold_mode: HoldMode
    time_limit_ms: int
    launched_at: Instant
    is_funded: bool = True
    is_borrowed: bool = False
    state: AttemptState = AttemptState.LAUNCHING
    started_at: Instant | None = None
    stopping_since: Instant | None = None
    ended_at: Instant | None = None
    stop_reason: Reason | None = None
    checkpointed_at: Instant | None = None
    charged_gpu_ms: int = 0
    charged: int = 0
    grace_seconds: int = 30
    submitted_at: Instant | None = None
    booking_id: WorkloadId | None = None
    """The booking that it runs inside, which has paid for its GPUs already; of a booking's own attempt, itself."""
    minimum_runtime_ms: int | None = None
    """0 where it was launched without its class's minimum runtime: unfunded, or beyond what policy lets its owner have per
    day."""
    booked_for: ProjectName | None = None
    """Of a booking, the project whose work it is for; None: its owner's personal work."""
    elastic: ElasticTerms | None = None
    """None: it runs with the pods that it was launched with."""
    leaving: Placement | None = None
    """What it gives back: pods that are no longer of its `placement` and have not all ended yet."""
    past_sizes: tuple[PastSize, ...] = ()
    """The oldest first; none where it was never resized. Nothing here is ever changed, only added to."""

    @property
    def is_booking(self) -> bool:
        """Whether it stands for a booking: GPUs kept for a window from `launched_at` on, without a Job."""
        return self.booking_id == self.workload_id

    @property
    def is_sheltered(self) -> bool:
        """Whether it has its class's minimum runtime."""
        return self.minimum_runtime_ms is None

    @property
    def is_inside(self) -> bool:
        """Whether it runs inside a booking, which pays for it up to its end."""
        return self.booking_id is not None and not self.is_booking

    @property
    def booked_until(self) -> Instant:
        """Of a booking, when its window ends: from then on it pays for nothing."""
        return Instant(self.launched_at + self.time_limit_ms)

    @property
    def gpus(self) -> int:
        return self.placement.pods * self.pod.gpus

    @property
    def leaving_gpus(self) -> int:
        return self.leaving.pods * self.pod.gpus if self.leaving is not None else 0

    @property
    def everywhere(self) -> Placement:
        """Where it has pods, those that it gives back among them."""
        return self.placement if self.leaving is None else self.placement.together_with(self.leaving)

    @property
    def surplus(self) -> int:
        """Pods above its minimum, which it may be asked to give back."""
        return max(0, self.placement.pods - self.elastic.pods_min) if self.elastic is not None else 0

    @property
    def is_growable(self) -> bool:
        """Whether it runs with fewer pods than it was asked for, and could have more: those that it gives back have
        ended, and what pays for it is its owner's."""
        if self.elastic is None or self.leaving is not None or not self.is_funded or self.booking_id is not None:
            return False
        return self.state is AttemptState.RUNNING and self.placement.pods < self.elastic.pods_max

    def shrunk_to(self, pods: int) -> "Attempt":
        """With its first so many pods; the others are leaving, beside those that are."""
        leaving = self.placement.beyond(pods)
        if self.leaving is not None:
            leaving = leaving.together_with(self.leaving)
        return replace(self, placement=self.placement.first(pods), leaving=leaving)

    @property
    def is_live(self) -> bool:
        return self.state is not AttemptState.ENDED


LASTING_OF_ATTEMPTS: Final = frozenset({"workload_id", "number", "owner", "team", "submitted_at", "booking_id"})
"""What never changes of an attempt, likewise."""
