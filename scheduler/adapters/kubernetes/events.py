"""Verdicts told where their users look: an annotation on the Job, and an Event about it. Pure."""

import hashlib
from typing import Final

from scheduler.adapters.kubernetes.names import REASON, STATUS, RawObject
from scheduler.adapters.kubernetes.stamps import micro_time
from scheduler.domain.actions import TellJob
from scheduler.domain.reasons import Reason
from scheduler.domain.units import Instant

_NOTE_BYTES_MAX: Final = 1024
"""The API refuses a longer note; a Job whose annotations are near their limit has no room for a longer status, either."""

_CONTROLLER: Final = "allot.dev/scheduler"

_WARNINGS: Final = frozenset(
    {
        Reason.ALLOWANCE_SHORT,
        Reason.NO_PRIORITY_CLASS,
        Reason.NOT_OFFERED,
        Reason.UNPLACEABLE,
        Reason.TOPOLOGY_UNPLACEABLE,
        Reason.BACKOFF,
        Reason.FAILED,
        Reason.TIME_LIMIT,
        Reason.BOOKING_ENDED,
        Reason.PREEMPTED,
        Reason.SUSPENDED,
        Reason.ALLOWANCE_EXHAUSTED,
        Reason.IDLE,
        Reason.START_TIMEOUT,
        Reason.NODE_LOST,
        Reason.GPU_FAULT,
        Reason.LAUNCH_REFUSED,
        Reason.MISUSE,
        Reason.REFUSED,
        Reason.QUEUE_FULL,
        Reason.RELABELLED,
    }
)


def telling_patch(action: TellJob) -> RawObject:
    """A merge patch; annotations bump no generation, so telling makes no judgement stale."""
    return {"metadata": {"annotations": {STATUS: _cut(action.message), REASON: action.reason.value}}}


def event(action: TellJob, now: Instant, instance: str) -> RawObject:
    """Named by what it says, so that telling the same thing twice makes one Event."""
    said = f"{action.job_uid}/{action.reason.value}/{action.message}"
    suffix = hashlib.sha256(said.encode()).hexdigest()[:16]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{action.job_name[:200]}.{suffix}", "namespace": action.namespace},
        "eventTime": micro_time(now),
        "reportingController": _CONTROLLER,
        "reportingInstance": instance[:128],
        "action": "Schedule",
        "reason": action.reason.value,
        "type": "Warning" if action.reason in _WARNINGS else "Normal",
        "note": _cut(action.message),
        "regarding": {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "namespace": action.namespace,
            "name": action.job_name,
            "uid": action.job_uid,
        },
    }


def _cut(note: str) -> str:
    return note.encode()[:_NOTE_BYTES_MAX].decode(errors="ignore")
