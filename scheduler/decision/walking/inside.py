"""Inside: work of whoever booked GPUs starts on them first, without being paid for twice.

A booking made for a project is for the team's work on that project, whosesoever; one for no project is for its
owner's personal work. What is still running by its end, by its time limit and grace, does not start inside.
"""

from bisect import bisect_left
from dataclasses import replace

from scheduler.decision.index import Index
from scheduler.decision.keeping.bookings import end_of
from scheduler.decision.ordering.queue import Line
from scheduler.decision.placing.ends import latest_end_if_started
from scheduler.decision.walking.starts import Starts
from scheduler.decision.walking.triage import over_limit
from scheduler.domain.brakes import Brake
from scheduler.domain.cluster import Placement
from scheduler.domain.units import NodeName
from scheduler.domain.workloads import Attempt


def serve_bookings(index: Index, starts: Starts) -> None:
    """Launch inside every active booking what it is for and what fits, in the order of the queue."""
    if index.pause(Brake.LAUNCH) is not None:
        return
    for booking in index.bookings.active(index.now):
        _fill(index, starts, booking, index.bookings.unused(booking))


def _fill(index: Index, starts: Starts, booking: Attempt, unused: dict[NodeName, int]) -> None:
    lines = [line for line in index.lines.all() if _is_for(index, booking, line)]
    waiting = sorted(
        (line.order_key(position), position, line) for line in lines for position in range(len(line.members))
    )
    started: list[tuple[int, Line]] = []
    for place, _, line in waiting:
        if place[3] in starts.inside or over_limit(index, line, starts.booked) is not None:
            continue
        placement = _placement(index, booking, line, unused)
        if placement is not None:
            started.append((len(starts.launches), line))
            starts.launch_inside(booking, line, place[3], placement)
            _use(unused, placement, line)
    for position, line in started:
        _widen(index, starts, booking, unused, position, line)


def _widen(
    index: Index, starts: Starts, booking: Attempt, unused: dict[NodeName, int], position: int, line: Line
) -> None:
    """Elastic work takes of what is left when everybody's minimum has started."""
    launch = starts.launches[position]

    def found(pods: int) -> tuple[Line, Placement] | None:
        spec = replace(line.spec, pods=pods)
        more = replace(line, spec=spec, gpus=spec.gpus, array=None, members=[])
        if over_limit(index, more, starts.booked) is not None:
            return None
        placement = _placement(index, booking, more, unused, beside=launch.placement)
        return (more, placement) if placement is not None else None

    most = min(line.pods_max - launch.placement.pods, sum(unused.values()) // max(1, line.spec.pod.gpus))
    pods = bisect_left(range(1, most + 1), True, key=lambda each: found(each) is None)
    taken = found(pods) if pods else None
    if taken is not None:
        starts.occupy_inside(booking, *taken)
        starts.widen(position, taken[1], line)
        _use(unused, taken[1], line)


def _use(unused: dict[NodeName, int], placement: Placement, line: Line) -> None:
    for name, pods in placement.pods_by_node:
        unused[name] -= pods * line.spec.pod.gpus


def _is_for(index: Index, booking: Attempt, line: Line) -> bool:
    spec = line.spec
    if line.priority_class is None or booking.gpu_class not in spec.gpu_classes or line.team != booking.team:
        return False
    if spec.project != booking.booked_for or (spec.project is None and line.owner != booking.owner):
        return False
    return latest_end_if_started(spec, index.now) <= end_of(booking)


def _placement(
    index: Index, booking: Attempt, line: Line, unused: dict[NodeName, int], beside: Placement | None = None
) -> Placement | None:
    """Onto its nodes, the fullest first; None where not all of its pods fit. Of more pods of what starts there: in the
    domain of the others, where they must stand in one."""
    table, left = index.capacity.table(booking.gpu_class), line.spec.pods
    row = table.row(line.shape)
    table.refresh()
    room = table.available.copy()
    room[0] = 0
    known = [name for name in sorted(unused, key=lambda each: (unused[each], each)) if name in table.index]
    for name in known:
        room[0, table.index[name]] = unused[name]
    counts = table.counts_if(row, room)
    ask = line.shape.topology
    if ask is not None and beside is not None:
        names = [name for name, _ in beside.pods_by_node]
        counts = table.domains.around(ask.level, counts, names) if ask.is_required else counts
    elif ask is not None:
        narrowed = table.domains.narrowed(ask, counts, left)
        if narrowed is None:
            return None
        counts = narrowed
    chosen: list[tuple[NodeName, int]] = []
    for name in known:
        pods = min(left, int(counts[table.index[name]]))
        if pods:
            chosen.append((name, pods))
            left -= pods
    return Placement(tuple(sorted(chosen))) if left == 0 else None
