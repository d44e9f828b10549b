"""How a workload stands, as one of four tones: each has a colour and a shape of its own in the style sheet."""

from enum import StrEnum

from scheduler.domain.reasons import Reason
from scheduler.lifecycle.views.shapes import WorkloadView


class Tone(StrEnum):
    GOOD = "good"
    WAITING = "waiting"
    LOST = "lost"
    OVER = "over"


_LOST = frozenset(
    {
        Reason.PREEMPTED,
        Reason.FAILED,
        Reason.NODE_LOST,
        Reason.GPU_FAULT,
        Reason.ALLOWANCE_EXHAUSTED,
        Reason.START_TIMEOUT,
        Reason.LAUNCH_REFUSED,
        Reason.JOB_DELETED,
        Reason.NO_PRIORITY_CLASS,
        Reason.NOT_OFFERED,
        Reason.UNPLACEABLE,
        Reason.TOPOLOGY_UNPLACEABLE,
        Reason.REFUSED,
        Reason.TIME_LIMIT,
        Reason.BOOKING_ENDED,
        Reason.BOOKING_MISSED,
    }
)
_STATES = {
    "running": Tone.GOOD,
    "launching": Tone.GOOD,
    "stopping": Tone.WAITING,
    "queued": Tone.WAITING,
}


_GOOD = frozenset({Reason.RUNNING, Reason.LAUNCHING})
_OVER = frozenset({Reason.COMPLETED, Reason.CANCELLED, Reason.STOPPED, Reason.IDLE})


def tone_of(reason: Reason) -> Tone:
    """How a verdict reads among others, whatever came of its workload since."""
    if reason in _LOST:
        return Tone.LOST
    return Tone.GOOD if reason in _GOOD else Tone.OVER if reason in _OVER else Tone.WAITING


def tone(workload: WorkloadView) -> Tone:
    """Red only for what was lost."""
    if workload.verdict.reason in _LOST and workload.state not in {"running", "launching"}:
        return Tone.LOST
    return _STATES.get(workload.state, Tone.OVER)
