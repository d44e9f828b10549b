"""What we ask of a cluster, as values. Each names one object; doing it twice is harmless."""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.cluster import GpuClass, Placement
from scheduler.domain.policy import SandboxTerms
from scheduler.domain.reasons import Reason
from scheduler.domain.units import AttemptId, JobUid
from scheduler.domain.workloads import Workload


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create the workload's Job, suspended, under its `job_name`; adopt it where it is there and ours.

    `former` names the failed Job of a user's, written by `author` if it is the first, from which the next is made;
    GONE where it is there no more.
    """

    workload: Workload
    gpu_class: GpuClass
    key: str = ""
    """The per-sandbox key that its server asks for; empty for a job."""
    sandbox: SandboxTerms | None = None
    """What the policy says of its home and port; None for a job."""
    former: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class LaunchJob:
    """Unsuspend with this placement, provided that the Job still has `generation`: one patch, refused where not."""

    workload: Workload
    attempt_id: AttemptId
    job_uid: JobUid
    generation: int
    gpu_class: GpuClass
    placement: Placement


@dataclass(frozen=True, slots=True)
class ResizeJob:
    """Let a running elastic Job have as many pods as the placement has, provided that it still has `generation`.

    Fewer: those of the highest indexes are ended with the grace they asked for. More: they go where the placement says.
    """

    workload: Workload
    attempt_id: AttemptId
    job_uid: JobUid
    generation: int
    placement: Placement


@dataclass(frozen=True, slots=True)
class SuspendJob:
    """Suspend, so that its pods are ended with the grace they asked for. One that lingers after its deletion is ended for
    good, by its deadline."""

    workload: Workload
    job_uid: JobUid
    reason: Reason
    is_lingering: bool = False


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete the Job and its pods (and, for a sandbox, its address; its home stays)."""

    workload: Workload
    job_uid: JobUid | None


@dataclass(frozen=True, slots=True)
class TellJob:
    """Write where its user looks: where `is_status` an annotation on the Job, where `is_event` an Event about it."""

    namespace: str
    job_name: str
    job_uid: JobUid
    reason: Reason
    message: str
    is_event: bool = True
    is_status: bool = True
    """False for what is no verdict: the Job's status stays what it is."""


Action = CreateJob | LaunchJob | ResizeJob | SuspendJob | DeleteJob | TellJob


class ActionResult(StrEnum):
    DONE = "done"
    STALE = "stale"
    """The object is not as it was judged: look again."""
    GONE = "gone"
    """The object is not there."""
    FOREIGN = "foreign"
    """An object of that name exists and is not ours: fail closed."""
    REFUSED = "refused"
    """The API refused it for good: as it is, it is invalid."""
    FORBIDDEN = "forbidden"
    """We may not do it now: a right, a quota or an admission policy forbids it, or there is no such namespace, which an
    operator can change."""
    RETRY = "retry"
    """The API did not answer, asked us to slow down, or is not as far yet."""


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """How one action went. `job_uid` and `generation` are set where an object answered."""

    action: Action
    result: ActionResult
    message: str = ""
    job_uid: JobUid | None = None
    generation: int | None = None
