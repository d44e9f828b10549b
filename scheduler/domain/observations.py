"""What a cluster reports: nodes, Jobs and pods as values, and the changes between two looks at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.domain.cluster import Node, PodRequest
from scheduler.domain.units import Instant, JobUid, NodeName, PodUid, WorkloadId
from scheduler.domain.workloads import WorkloadSpec


class PodPhase(StrEnum):
    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"

    @property
    def is_terminal(self) -> bool:
        return self in {PodPhase.SUCCEEDED, PodPhase.FAILED}


class Disruption(StrEnum):
    """Why the platform ended a pod: the reasons of Kubernetes' condition DisruptionTarget."""

    NODE_GONE = "DeletionByPodGC"
    TAINTED = "DeletionByTaintManager"
    KUBELET = "TerminationByKubelet"
    SCHEDULER = "PreemptionByScheduler"
    EVICTED = "EvictionByEvictionAPI"

    @property
    def is_unattended(self) -> bool:
        """Whether no kubelet may have been there to end it: then its deletion says nothing about its end."""
        return self in {Disruption.NODE_GONE, Disruption.TAINTED}


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """A pod of one of our Jobs. Instants are Kubernetes' whole-second stamps.

    `started_at` is the first start of any of its containers, `finished_at` the last end of all of them.
    `deleted_at` is its deletionTimestamp *less* the grace period, that is, when deletion was asked for;
    `grace_seconds` the grace it was given. `is_gone` is True once the object is no longer in the API: then this
    is its last known status. `evidence_at` is the last instant at which something showed that it ran.
    `waiting_reason` is why it has not started (ImagePullBackOff, Unschedulable). `attempt_id` is what the launch wrote
    on its template: empty where it was made without us. `disruption` is why the platform ended it, where it did.
    """

    uid: PodUid
    name: str
    namespace: str
    job_uid: JobUid
    phase: PodPhase
    gpus: int
    node: NodeName | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
    deleted_at: Instant | None = None
    grace_seconds: int | None = None
    evidence_at: Instant | None = None
    exit_code: int | None = None
    waiting_reason: str = ""
    attempt_id: str = ""
    disruption: Disruption | None = None
    is_gated: bool = False
    is_gone: bool = False

    @property
    def has_ended(self) -> bool:
        return self.is_gone or self.phase.is_terminal


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """A Job in a managed namespace.

    `is_suspended` is spec.suspend; `is_confirmed_suspended` the Suspended condition, `suspended_at` since when: its pods
    were told to end then. `workload_id` is what we wrote
    on it when we created it (None for a Job that somebody applied): never trusted for ownership, which comes from
    the database's map of `uid`. `author` is stamped by the admission policy. `asked` is its template read as a
    workload, `unfit` why it could not be (then `asked` is None). `spec_hash` tells an adopted Job from a foreign one.
    """

    uid: JobUid
    name: str
    namespace: str
    generation: int
    created_at: Instant
    is_suspended: bool
    is_confirmed_suspended: bool = False
    suspended_at: Instant | None = None
    active: int = 0
    terminating: int = 0
    is_complete: bool = False
    is_failed: bool = False
    failure: str = ""
    ended_at: Instant | None = None
    workload_id: WorkloadId | None = None
    attempt_id: str = ""
    author: str = ""
    asked: WorkloadSpec | None = None
    unfit: str = ""
    spec_hash: str = ""
    is_deleted: bool = False
    is_run_elsewhere: bool = False
    """spec.managedBy gives it to another controller than Kubernetes' own: its pods, if any, are not for us to see, and
    its status is the evidence."""
    is_taken_up: bool = False
    """That controller says that it has begun it."""
    is_lingering: bool = False
    """Somebody deleted it and a finalizer keeps it, with its pods: it heeds no suspension any more, only its deadline."""
    is_confirmed: bool = False
    """It says so itself: its owner need not be asked about a weekend."""
    is_owned: bool = False
    """Another controller made it and answers for it, as a CronJob does."""
    checkpointed_at: Instant | None = None
    pods: int = 1
    """spec.parallelism: how many pods it is to have at once."""
    pod: PodRequest | None = None
    """What each of its pods would ask for, fit or not; None where it is not fit and not suspended. Kubernetes lets a
    suspended Job's resources be changed."""
    refused_since: Instant | None = None
    """Since when Kubernetes has been refusing to make its pods, and not all of this attempt are there; `refused_because`
    is its last answer."""
    refused_because: str = ""
    keeps_state: bool = True
    """Its pods mount a volume that outlives them, or have a hook that saves their state before they are stopped."""
    is_probed: bool = False
    """The kubelet connects to its pods now and then, to see whether they answer."""

    @property
    def has_ended(self) -> bool:
        return self.is_complete or self.is_failed


@dataclass(frozen=True, slots=True)
class ClusterChanges:
    """What changed since the last look; None for what is gone. After `is_relist` what is not named is gone too."""

    nodes: Mapping[NodeName, Node | None] = field(default_factory=dict)
    jobs: Mapping[JobUid, ObservedJob | None] = field(default_factory=dict)
    pods: tuple[ObservedPod, ...] = ()
    is_relist: bool = False

    @property
    def is_empty(self) -> bool:
        return not (self.nodes or self.jobs or self.pods or self.is_relist)
