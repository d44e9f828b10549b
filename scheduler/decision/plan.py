"""What a decision says: who is launched, who is preempted for whom, and why everybody else waits."""

from dataclasses import dataclass, field

from scheduler.domain.cluster import Placement
from scheduler.domain.funding import FundingShare
from scheduler.domain.reasons import Evidence, Reason
from scheduler.domain.units import AttemptId, GpuClassName, Instant, PoolName, WorkloadId
from scheduler.domain.values import value


@value(frozen=True, slots=True)
class Launch:
    """Launch the workload there, on holds of these amounts (none where unfunded, or reserved)."""

    workload_id: WorkloadId
    gpu_class: GpuClassName
    placement: Placement
    pool: PoolName
    funding: tuple[FundingShare, ...]
    is_funded: bool = True
    is_borrowed: bool = False
    is_reserved: bool = False
    """Its holds were made when its victims were chosen."""
    booking_id: WorkloadId | None = None
    """The booking inside which it runs, which pays for it."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Let a running elastic attempt have more pods: where all of them stand then, on holds of these amounts for those
    that come."""

    attempt_id: AttemptId
    workload_id: WorkloadId
    placement: Placement
    funding: tuple[FundingShare, ...]
    is_borrowed: bool = False


@dataclass(frozen=True, slots=True)
class Victim:
    """An attempt to be stopped, or made smaller: by which rule, and the comparison that decided, as a phrase."""

    attempt_id: AttemptId
    workload_id: WorkloadId
    rule: str
    comparison: str
    pods_left: int | None = None
    """Of an elastic one that gives back what is above its minimum: the pods that it goes on with. None: it stops."""


@dataclass(frozen=True, slots=True)
class Preemption:
    """Stop the victims, and keep what they give up (and the preemptor's holds) for `launch` until `until`.

    `moves` are the launches by which victims that are only moved start again elsewhere, at their ends.
    """

    launch: Launch
    victims: tuple[Victim, ...]
    until: Instant
    moves: tuple[Launch, ...] = ()


@value(frozen=True, slots=True)
class Verdict:
    """Why a workload is where it is: one code, with the numbers it rests on."""

    workload_id: WorkloadId
    reason: Reason
    evidence: Evidence = field(default_factory=dict)


@value(frozen=True, slots=True)
class Plan:
    """One cycle's outcome. `verdicts` are those whose code changed; `lapsed` the reservations that ran out;
    `ageing` the workloads that begin to grow old, see `begins_to_age`."""

    now: Instant
    launches: tuple[Launch, ...] = ()
    preemptions: tuple[Preemption, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    lapsed: tuple[WorkloadId, ...] = ()
    growths: tuple[Growth, ...] = ()
    warnings: tuple[Verdict, ...] = ()
    """Of those that start beyond a soft limit: said before they are launched."""
    ageing: tuple[WorkloadId, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.launches or self.preemptions or self.verdicts or self.lapsed or self.growths or self.ageing)
