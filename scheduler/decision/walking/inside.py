"""Inside: work of whoever booked GPUs starts on them first, without being paid for twice.

A booking made for a project is for the team's work on that project, whosesoever; one for no project is for its
owner's personal work. What is still running by its end, by its time limit and grace, does not start inside. Whoever
waits first inside has the earliest room there kept free, as `keeping/backfill.py` does outside.
"""

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from operator import itemgetter

from scheduler.decision.index import Index
from scheduler.decision.keeping.backfill import Shadow, beside, free_room
from scheduler.decision.keeping.bookings import GpusOn
from scheduler.decision.ordering.queue import Line, OrderKey
from scheduler.decision.placing.ends import latest_end, latest_end_if_started
from scheduler.decision.placing.fit_table import FitTable, IntArray
from scheduler.decision.walking.starts import Starts
from scheduler.decision.walking.triage import over_guard, over_limit
from scheduler.domain.brakes import Brake
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.units import Instant, NodeName, WorkloadId
from scheduler.domain.workloads import Attempt, AttemptState


@dataclass(slots=True)
class Window:
    """One active booking as a cycle fills it."""

    booking: Attempt
    unused: GpusOn
    """What can be started on now."""
    left: GpusOn
    """The same, and what somebody has not left yet who should have before the booking began."""
    ends: list[tuple[Instant, Placement, PodRequest]]
    """What runs inside, or starts in this cycle."""
    shadow: Shadow | None = None
    """What is kept for who waits first."""


@dataclass(slots=True)
class Inside:
    """One cycle's active bookings."""

    index: Index
    starts: Starts
    windows: list[Window] = field(default_factory=list)

    def serve(self) -> None:
        """Launch inside every active booking what it is for and what fits, in the order of the queue."""
        if self.index.bookings.attempts:
            self._open()
        if self.windows:
            self._fill()

    def room_for(self, line: Line) -> tuple[Attempt, Placement] | None:
        """The booking inside which one that is only asked about would start, and where: who could start before it has,
        and who waits first has its room kept."""
        self._open()
        windows = self._allowed(line, self._open_to(line))
        if not windows:
            return None
        mine, (_, me) = line.order_key(), line.members[0]
        for place, other, open_to in self._waiting():
            if place < mine and place[3] != me:
                self._keep(open_to, other, place[3])
        return next(((w.booking, at) for w in windows if (at := self._placement(w, line)) is not None), None)

    def _open(self) -> None:
        """The active bookings, as they stand; none while nothing may be launched."""
        bookings, is_paused = self.index.bookings, self.index.pause(Brake.LAUNCH) is not None
        self.windows = [
            Window(each, bookings.unused(each), bookings.left(each), self._ends(each))
            for each in ([] if is_paused else bookings.active(self.index.now))
        ]

    def _waiting(self) -> list[tuple[OrderKey, Line, list[Window]]]:
        """Whoever may go inside some of them, in the order of the queue."""
        mine = {line: open_to for line in self.index.lines.all() if (open_to := self._open_to(line))}
        found = [
            (line.order_key(position), line, open_to)
            for line, open_to in mine.items()
            for position in range(len(line.members))
        ]
        return sorted(found, key=itemgetter(0))

    def serve_again(self) -> None:
        """Whoever had room kept inside may have started beside it: then those behind need not keep it free."""
        begun = self.starts.begun()
        if any(window.shadow is not None and window.shadow.workload_id in begun for window in self.windows):
            for window in self.windows:
                window.shadow = None
            self._fill()

    def _ends(self, booking: Attempt) -> list[tuple[Instant, Placement, PodRequest]]:
        now = self.index.now
        return [
            (now if each.state is AttemptState.STOPPING else latest_end(each), each.placement, each.pod)
            for each in self.index.bookings.inside(booking)
        ]

    def _fill(self) -> None:
        started: list[tuple[int, Line, Window]] = []
        begun, through = self.starts.begun(), set[Line]()
        for place, line, windows in self._waiting():
            allowed = self._allowed(line, windows) if line not in through and place[3] not in begun else []
            if not allowed:
                continue
            found = next(((w, at) for w in allowed if (at := self._placement(w, line)) is not None), None)
            if found is None:
                if not self._keep(allowed, line, place[3]):
                    through.add(line)  # as it goes on there is less room and never more
                continue
            window, placement = found
            started.append((len(self.starts.launches), line, window))
            self.starts.launch_inside(window.booking, line, place[3], placement)
            self._use(window, placement, line)
        for position, line, window in started:
            self._widen(window, position, line)

    def _open_to(self, line: Line) -> list[Window]:
        return [window for window in self.windows if _is_for(self.index, window.booking, line)]

    def _allowed(self, line: Line, windows: list[Window]) -> list[Window]:
        """Those in which limits and spend guards let it start, beside what this cycle does: they hold inside, too."""
        if over_limit(self.index, line, self.starts.planned) is not None:
            return []
        return [window for window in windows if over_guard(self.index, line, window.booking.gpu_class) is None]

    def _keep(self, windows: list[Window], line: Line, workload_id: WorkloadId) -> bool:
        """Keep the earliest room that it can have inside, where nobody before it has any kept. Returns whether there is."""
        found = [
            (shadow.at, position, shadow)
            for position, window in enumerate(windows)
            if window.shadow is None and (shadow := self._look(window, line, workload_id)) is not None
        ]
        if found:
            _, position, shadow = min(found, key=lambda each: each[:2])
            windows[position].shadow = shadow
        return bool(found)

    def _look(self, window: Window, line: Line, workload_id: WorkloadId) -> Shadow | None:
        """The earliest room inside by what is known of ends; None where it could not end in time any more."""
        index, booking, pods = self.index, window.booking, line.spec.pods
        table = index.capacity.table(booking.gpu_class)
        row, now = table.row(line.shape), index.now

        def room_at(at: Instant) -> IntArray:
            elsewhere = index.ends[booking.gpu_class].freed_by(at, len(table.names))
            room = _with_gpus(table, table.coming() + elsewhere, window.left)
            for ends_at, placement, pod in window.ends:
                if ends_at <= at:
                    free_room(table, room, placement, pod)
            return room

        def fits(at: Instant) -> bool:
            return table.together(row, table.counts_if(row, room_at(at))) >= pods

        instants = sorted({now, *(Instant(max(now, at)) for at, _, _ in window.ends)})
        position = bisect_left(instants, True, key=fits)
        if position == len(instants) or latest_end_if_started(line.spec, instants[position]) > booking.booked_until:
            return None
        room = room_at(instants[position])
        placement = table.placement(row, table.counts_if(row, room), pods)
        assert placement is not None, "it fits at that instant"
        free_room(table, room, placement, line.spec.pod, sign=-1)
        spare = {table.index[name]: room[:, table.index[name]] for name, _ in placement.pods_by_node}
        return Shadow(workload_id, line, booking.pool, line.gpus, instants[position], spare)

    def _widen(self, window: Window, position: int, line: Line) -> None:
        """Elastic work takes of what is left when everybody's minimum has started."""
        launch = self.starts.launches[position]

        def found(pods: int) -> tuple[Line, Placement] | None:
            spec = replace(line.spec, pods=pods)
            more = replace(line, spec=spec, gpus=spec.gpus, array=None, members=[])
            if not self._allowed(more, [window]):
                return None
            placement = self._placement(window, more, beside_pods=launch.placement)
            return (more, placement) if placement is not None else None

        most = line.pods_max - launch.placement.pods
        pods = bisect_left(range(1, most + 1), True, key=lambda each: found(each) is None)
        taken = found(pods) if pods else None
        if taken is not None:
            wider, placement = taken
            self.starts.occupy_inside(window.booking, wider, launch.workload_id, placement)
            self.starts.widen(position, placement, line)
            self._use(window, placement, line)

    def _use(self, window: Window, placement: Placement, line: Line) -> None:
        """Count what starts inside: what is not gone in time takes of the spare room beside what is kept there."""
        pod, ends_at = line.spec.pod, latest_end_if_started(line.spec, self.index.now)
        window.ends.append((ends_at, placement, pod))
        for name, pods in placement.pods_by_node:
            window.unused[name] -= pods * pod.gpus
            window.left[name] -= pods * pod.gpus
        if window.shadow is not None and ends_at > window.shadow.at:
            window.shadow.take(self.index.capacity.table(window.booking.gpu_class), placement, pod)

    def _placement(self, window: Window, line: Line, beside_pods: Placement | None = None) -> Placement | None:
        """Onto its nodes, the fullest first; None where not all of its pods fit beside what is kept for who waits first.
        Of more pods of what starts there: in the domain of the others, where they must stand in one."""
        unused, shadow = window.unused, window.shadow
        table, left = self.index.capacity.table(window.booking.gpu_class), line.spec.pods
        row = table.row(line.shape)
        table.refresh()
        counts = table.counts_if(row, _with_gpus(table, table.available.copy(), unused))
        if shadow is not None and latest_end_if_started(line.spec, self.index.now) > shadow.at:
            counts = beside(shadow, table, row, counts)
        ask = line.shape.topology
        if ask is not None and beside_pods is not None:
            names = [name for name, _ in beside_pods.pods_by_node]
            counts = table.domains.around(ask.level, counts, names) if ask.is_required else counts
        elif ask is not None:
            narrowed = table.domains.narrowed(ask, counts, left)
            if narrowed is None:
                return None
            counts = narrowed
        chosen: list[tuple[NodeName, int]] = []
        for name in sorted(unused.keys() & table.index, key=lambda each: (unused[each], each)):
            pods = min(left, int(counts[table.index[name]]))
            if pods:
                chosen.append((name, pods))
                left -= pods
        return Placement(tuple(sorted(chosen))) if left == 0 else None


def _with_gpus(table: FitTable, room: IntArray, gpus: GpusOn) -> IntArray:
    """The room, with these GPUs of each node and no others."""
    room[0] = 0
    for name in gpus.keys() & table.index:
        room[0, table.index[name]] = gpus[name]
    return room


def _is_for(index: Index, booking: Attempt, line: Line) -> bool:
    spec = line.spec
    if line.priority_class is None or booking.gpu_class not in spec.gpu_classes or line.team != booking.team:
        return False
    if booking.gpu_class not in index.policy.gpu_classes:
        return False  # policy has dropped it since it was booked: nothing starts on it any more
    if spec.project != booking.booked_for or (spec.project is None and line.owner != booking.owner):
        return False
    return latest_end_if_started(spec, index.now) <= booking.booked_until
