"""What is kept of the past: pod runs as the cluster stamped them, verdicts as they fell, and who did what."""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.reasons import Evidence, Reason
from scheduler.domain.units import (
    BEGINNING,
    AttemptId,
    CommandId,
    EngineerId,
    Instant,
    NodeName,
    PodUid,
    WorkloadId,
)


class EndEvidence(StrEnum):
    """What an end rests on, the best first."""

    FINISHED = "finished"
    """The containers' finishedAt."""
    DELETION = "deletion"
    """The pod vanished: its deletionTimestamp plus what of the grace was used."""
    JOB = "job"
    """The Job's completionTime: none of its pods was ever seen."""
    LAST_SEEN = "last-seen"
    """The last evidence that it ran; flagged for reconciliation."""


@dataclass(frozen=True, slots=True)
class PodRun:
    """One pod of an attempt, from its first container's start to its confirmed end, in whole-second stamps.

    `billable_until` bounds the charge where the pod was asked to end: SIGTERM plus the grace asked for.
    """

    pod_uid: PodUid
    attempt_id: AttemptId
    name: str
    node: NodeName | None
    gpus: int
    started_at: Instant | None = None
    ended_at: Instant | None = None
    billable_until: Instant | None = None
    end_evidence: EndEvidence | None = None
    last_seen_at: Instant | None = None
    exit_code: int | None = None

    def gpu_ms_until(self, now: Instant, since: Instant = BEGINNING) -> int:
        """Physical GPU-milliseconds to charge up to `now`, of those from `since` on."""
        if self.started_at is None:
            return 0
        end = now if self.ended_at is None else min(now, self.ended_at)
        if self.billable_until is not None:
            end = min(end, self.billable_until)
        return max(0, end - max(self.started_at, since)) * self.gpus


@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """A verdict as it fell. `seq` orders all of them; stored when the code changed."""

    seq: int
    workload_id: WorkloadId
    at: Instant
    reason: Reason
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who changed what: never edited. `before` and `after` are JSON texts of what changed, or empty."""

    at: Instant
    actor: str
    role: str
    verb: str
    target: str
    request_id: str = ""
    before: str = ""
    after: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """The first answer to a command: the same id with the same body gets it again, with another is a conflict."""

    id: CommandId
    caller: str
    body_hash: str
    answer: str
    at: Instant


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy as it was applied."""

    hash: str
    name: str
    text: str
    applied_at: Instant
    applied_by: str
    seq: int = 0


@dataclass(frozen=True, slots=True)
class PriceBookVersion:
    """A price book as it was applied."""

    hash: str
    name: str
    text: str
    applied_at: Instant
    applied_by: str
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What is kept of a sandbox beside its workload: the key its server asks for, extensions used, and by when it
    served a request last, as far as its node's agent tells."""

    workload_id: WorkloadId
    owner: EngineerId
    key: str
    extensions: int = 0
    active_at: Instant | None = None
