"""What of one's own work waits, in the order in which it will be tried; the indexes of an array as one."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from scheduler.domain.arrays import array_of
from scheduler.domain.units import WorkloadId
from scheduler.lifecycle.views.shapes import WorkloadView


@dataclass(frozen=True, slots=True)
class Waiting:
    """The first of its array in line, or what is of none. `others` wait behind it; `asked` is that of them all, in
    standard GPU-milliseconds."""

    work: WorkloadView
    others: int
    asked: int


def in_line(works: Iterable[WorkloadView]) -> list[Waiting]:
    """By rank. What no cycle has looked at yet, or has set aside, comes last, the latest submitted first."""
    parts: dict[str, list[WorkloadView]] = {}
    for work in sorted(works, key=_in_turn):
        parts.setdefault(array_of(WorkloadId(work.id)) or work.id, []).append(work)
    return [Waiting(part[0], len(part) - 1, sum(work.asked for work in part)) for part in parts.values()]


def _in_turn(work: WorkloadView) -> tuple[float, int, str]:
    return (work.rank if work.rank is not None else inf, -work.submitted_at, work.id)
