"""Rivals: who else may take the GPUs that somebody waits for, as far as a forecast knows them, in the order of service.

Those are who stands in line for room, and those before it that wait for the hours of the same class, or at the same limit:
they are there when it may start. Who waits for an instant of their own, or for somebody else, is not looked at.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from heapq import merge
from operator import attrgetter, itemgetter

from scheduler.decision.foreseeing.emptying import Others, Used, waiter
from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import LaneKey, Line
from scheduler.decision.walking.triage import key_beside_limits, lane_key
from scheduler.domain.reasons import Reason
from scheduler.domain.units import GpuClassName, PoolName, WorkloadId

AHEAD_MAX = 300
"""How many of those ahead are replayed one by one; behind more than that, no band is named."""

WHOSE_LIMIT: dict[Reason, Callable[[Line], Hashable]] = {
    Reason.ENGINEER_GPU_LIMIT: attrgetter("owner"),
    Reason.TEAM_GPU_LIMIT: attrgetter("team"),
    Reason.ARRAY_LIMIT: attrgetter("array"),
}
"""Limits that let somebody start once others of the same owner, team or array have ended."""


def rivals(
    index: Index, asked: tuple[Line, LaneKey], gpu_class: GpuClassName, limits: Used, gone: WorkloadId | None
) -> Others | None:
    """None where more are before it than are replayed. `limits` are those on it, `gone` is no rival."""
    line, my_key = asked
    mine, apart = line.order_key(), (line.members[0][1], gone)
    lines = [
        [(other.order_key(position), other, key) for position in range(min(len(other.members), AHEAD_MAX + 1))]
        for other, key in _wishes(index, line)
        if gpu_class in key.gpu_classes
    ]
    i_borrow = always_borrows(index, my_key.pool, gpu_class, line.gpus)
    found = Others()
    for place, other, key in merge(*lines, key=itemgetter(0)):
        if place[3] in apart:
            continue
        if key.pool == my_key.pool:
            is_before = place < mine
        else:  # who borrows is last, then priority and age tell
            borrows = always_borrows(index, key.pool, gpu_class, other.gpus)
            is_before = (borrows, place[0], place[2]) < (i_borrow, mine[0], mine[2])
        stands = (found.ahead if other.ruling is None else found.alike) if is_before else found.behind
        if len(stands) <= AHEAD_MAX and (is_before or other.ruling is None):
            stands.append(waiter(index, other, key, gpu_class, limits))
        if len(found.ahead) > AHEAD_MAX:
            break
    return found if max(len(found.ahead), len(found.alike)) <= AHEAD_MAX else None


def always_borrows(index: Index, pool: PoolName, gpu_class: GpuClassName, gpus: int) -> bool:
    """Whatever else of its pool runs."""
    return gpus > index.quotas.nominal(pool, gpu_class)


def _wishes(index: Index, line: Line) -> Iterator[tuple[Line, LaneKey]]:
    for other in index.lines.all():
        key = _wanted_by(index, other, line)
        if key is not None:
            yield other, key


def _wanted_by(index: Index, other: Line, line: Line) -> LaneKey | None:
    """What a line waits for: room, or what the other waits for, too."""
    if other.ruling is None:
        return other.lane.key if other.lane is not None else None
    reason = other.ruling.reason
    if reason in WHOSE_LIMIT:
        whose = WHOSE_LIMIT[reason]
        is_same = line.ruling is not None and line.ruling.reason is reason and whose(line) == whose(other)
        return key_beside_limits(index, replace(other)) if is_same else None
    terms, known = line.priority_class, other.priority_class
    if reason is not Reason.OFF_PEAK or terms is None or known is None:
        return None
    is_same_hour = terms.name == known.name and terms.off_peak is None
    return lane_key(index, replace(other, priority_class=terms)) if is_same_hour else None
