"""Waits for capacity: when placeable, funded work of somebody stood in line because GPUs were others'."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from scheduler.domain.reasons import Reason
from scheduler.domain.records import RecordedVerdict
from scheduler.domain.units import Instant, WorkloadId

FOR_CAPACITY: Final = frozenset(
    {
        Reason.RESOURCES,
        Reason.PRIORITY,
        Reason.QUOTA,
        Reason.TOPOLOGY,
        Reason.AWAITING_PREEMPTION,
        Reason.BOOKED,
        Reason.PREEMPTION_DELAY,
        Reason.PREEMPTION_PAUSED,
        Reason.STOP_RATE,
        Reason.LAUNCH_PAUSED,
    }
)
"""Verdicts on what could be placed and would be paid: GPUs are others', or the platform withholds them. What lacks hours,
or stands at a limit of its own, has another."""


@dataclass(frozen=True, slots=True, order=True)
class Wait:
    """A workload waited in [start, end)."""

    start: Instant
    end: Instant
    workload_id: WorkloadId


def waits_of(verdicts: Sequence[RecordedVerdict], ends_at: Instant) -> list[Wait]:
    """The waits of one workload from its verdicts, oldest first: each lasts until the next, the last until `ends_at`."""
    ends = [*(verdict.at for verdict in verdicts[1:]), ends_at]
    return [
        Wait(verdict.at, end, verdict.workload_id)
        for verdict, end in zip(verdicts, ends, strict=False)
        if verdict.reason in FOR_CAPACITY and verdict.at < end
    ]


def within(waits: Iterable[Wait], starts_at: Instant, ends_at: Instant) -> list[Wait]:
    """What of them falls into [starts_at, ends_at)."""
    cut = [Wait(max(w.start, starts_at), min(w.end, ends_at), w.workload_id) for w in waits]
    return sorted(wait for wait in cut if wait.start < wait.end)


def waited_ms(waits: Iterable[Wait]) -> int:
    """For how long at least one of them waited: two at once wait no longer than one."""
    total = 0
    until: int | None = None
    for wait in sorted(waits):
        begins = wait.start if until is None else max(wait.start, until)
        total += max(0, wait.end - begins)
        until = wait.end if until is None else max(until, wait.end)
    return total
