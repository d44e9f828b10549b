"""Jobs and pods of the simulated cluster: their state, and how they look to who watches. No time passes here."""

from dataclasses import dataclass, field, fields
from typing import Any

from scheduler.domain.observations import Disruption, ObservedJob, ObservedPod, PodPhase
from scheduler.domain.units import MS_PER_SECOND, Instant, JobUid, NodeName, PodUid, WorkloadId
from scheduler.simulation.fates import Fate, Pattern


def stamp(instant: Instant) -> Instant:
    """Kubernetes stamps whole seconds, rounded down."""
    return Instant(instant // MS_PER_SECOND * MS_PER_SECOND)


@dataclass(slots=True)
class SimulatedPod:
    """One pod. Instants are exact; who watches sees whole seconds. `gpu_indexes` are the GPUs it was given; `index` is
    its completion index."""

    uid: PodUid
    name: str
    target: NodeName
    attempt_id: str = ""
    index: int = 0
    phase: PodPhase = PodPhase.PENDING
    node: NodeName | None = None
    gpu_indexes: tuple[int, ...] = ()
    started_at: Instant | None = None
    finished_at: Instant | None = None
    deleted_at: Instant | None = None
    evidence_at: Instant | None = None
    exit_code: int | None = None
    waiting_reason: str = ""
    disruption: Disruption | None = None
    is_gone: bool = False

    @property
    def is_live(self) -> bool:
        return not self.is_gone and not self.phase.is_terminal

    @property
    def is_running(self) -> bool:
        return self.is_live and self.phase is PodPhase.RUNNING


@dataclass(slots=True)
class SimulatedJob:
    """One Job. `launches` counts how often it was unsuspended: what was planned for an earlier launch is void.

    `done_ms` is the work that checkpoints have saved; `running_since` is when the last of its pods started.
    `failing` is the failure that becomes the Job's once its last pod has ended. `revision` grows with every change of it
    or of its pods.
    """

    uid: JobUid
    name: str
    namespace: str
    created_at: Instant
    workload_id: WorkloadId | None
    spec_hash: str
    fate: Fate
    gpus: int
    cpu_milli: int
    memory_mib: int
    image: str
    grace_seconds: int
    generation: int = 1
    attempt_id: str = ""
    is_suspended: bool = True
    suspended_at: Instant | None = None
    is_complete: bool = False
    is_failed: bool = False
    is_deleted: bool = False
    parallelism: int = 1
    failing: str = ""
    ended_at: Instant | None = None
    checkpointed_at: Instant | None = None
    done_ms: int = 0
    running_since: Instant | None = None
    launches: int = 0
    pods_made: int = 0
    told: str = ""
    revision: int = 0
    pods: dict[PodUid, SimulatedPod] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        return self.is_complete or self.is_failed

    @property
    def live_pods(self) -> list[SimulatedPod]:
        return [pod for pod in self.pods.values() if pod.is_live]

    @property
    def terminating(self) -> int:
        return sum(pod.deleted_at is not None for pod in self.live_pods)

    @property
    def active(self) -> int:
        return sum(pod.deleted_at is None for pod in self.live_pods)


_JOB_FIELDS = tuple(each.name for each in fields(SimulatedJob))


def observed_job(job: SimulatedJob) -> ObservedJob:
    return ObservedJob(
        uid=job.uid,
        name=job.name,
        namespace=job.namespace,
        generation=job.generation,
        created_at=stamp(job.created_at),
        is_suspended=job.is_suspended,
        # The controller sets the condition once every pod has been told to go, and we wait for their ends as well.
        is_confirmed_suspended=job.is_suspended and job.active == 0,
        suspended_at=_stamped(job.suspended_at) if job.is_suspended else None,
        active=job.active,
        terminating=job.terminating,
        is_complete=job.is_complete,
        is_failed=job.is_failed,
        failure=job.failing if job.is_failed else "",
        ended_at=stamp(job.ended_at) if job.ended_at is not None else None,
        workload_id=job.workload_id,
        attempt_id=job.attempt_id,
        spec_hash=job.spec_hash,
        is_deleted=job.is_deleted,
        checkpointed_at=stamp(job.checkpointed_at) if job.checkpointed_at is not None else None,
        pods=job.parallelism,
    )


def observed_pod(job: SimulatedJob, pod: SimulatedPod) -> ObservedPod:
    return ObservedPod(
        uid=pod.uid,
        name=pod.name,
        namespace=job.namespace,
        job_uid=job.uid,
        phase=pod.phase,
        gpus=job.gpus,
        node=pod.node,
        started_at=_stamped(pod.started_at),
        finished_at=_stamped(pod.finished_at),
        deleted_at=_stamped(pod.deleted_at),
        grace_seconds=job.grace_seconds if pod.deleted_at is not None else None,
        evidence_at=_stamped(pod.evidence_at),
        exit_code=pod.exit_code,
        waiting_reason=pod.waiting_reason,
        attempt_id=pod.attempt_id,
        disruption=pod.disruption,
        is_gone=pod.is_gone,
    )


def _disruption(kept: str | None) -> Disruption | None:
    return None if kept is None else Disruption(kept)


def _stamped(instant: Instant | None) -> Instant | None:
    return None if instant is None else stamp(instant)


def job_to_json(job: SimulatedJob) -> dict[str, Any]:
    """What orjson writes as JSON, dataclasses and all: thousands of Jobs are kept every few seconds."""
    return {name: getattr(job, name) for name in _JOB_FIELDS} | {"pods": list(job.pods.values())}


def job_from_json(raw: dict[str, Any]) -> SimulatedJob:
    """The inverse of `job_to_json`."""
    fate = Fate(**{**raw["fate"], "pattern": Pattern(raw["fate"]["pattern"])})
    pods = (
        SimulatedPod(
            **{
                **pod,
                "phase": PodPhase(pod["phase"]),
                "gpu_indexes": tuple(pod["gpu_indexes"]),
                "disruption": _disruption(pod.get("disruption")),
            }
        )
        for pod in raw["pods"]
    )
    return SimulatedJob(**{**raw, "fate": fate, "pods": {pod.uid: pod for pod in pods}})
