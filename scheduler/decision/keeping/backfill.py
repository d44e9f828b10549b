"""Backfill: whoever waits first for the room of a GPU class has the earliest room for it kept free.

Work behind it starts only where it is gone by then (by its time limit and grace), or where it leaves that room
untouched: EASY backfill (Lifka 1995), with one reservation per GPU class, made anew in every cycle from what is
known of ends and bookings.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from scheduler.decision.index import Index
from scheduler.decision.keeping.bookings import Kept, is_active
from scheduler.decision.ordering.queue import Lane, Line
from scheduler.decision.placing.ends import latest_end, latest_end_if_started
from scheduler.decision.placing.fit_table import FitTable, IntArray
from scheduler.decision.placing.shape import amounts
from scheduler.decision.plan import Launch
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.units import GpuClassName, Instant, PoolName, WorkloadId
from scheduler.domain.workloads import Attempt, WorkloadSpec

LOOKS_MAX = 100
"""Ends, from the first that would make room on, at which room beside bookings is looked for: they may follow each other
for months."""


@dataclass(slots=True)
class Shadow:
    """The room and quota kept for whoever waits first: from when, and what others may still take where it will be."""

    workload_id: WorkloadId
    line: Line
    pool: PoolName
    gpus: int
    at: Instant
    spare: dict[int, IntArray]
    """By node of its future placement: what will be left there beside it."""

    def take(self, table: FitTable, placement: Placement, pod: PodRequest) -> None:
        """What starts there and is not gone in time takes of what will be left."""
        for name, pods in placement.pods_by_node:
            spare = self.spare.get(table.index[name])
            if spare is not None:
                spare -= pods * np.array(amounts(pod))


@dataclass(slots=True)
class Backfill:
    """The shadows of one cycle. They are looked for when somebody behind could start."""

    index: Index
    _first: dict[GpuClassName, tuple[Lane, Line, WorkloadId, Instant]] = field(default_factory=dict)
    _shadows: dict[GpuClassName, Shadow | None] = field(default_factory=dict)
    _launched: list[tuple[Launch, WorkloadSpec]] = field(default_factory=list)
    _preempted: list[Attempt] = field(default_factory=list)

    def wait(
        self,
        lane: Lane,
        line: Line,
        workload_id: WorkloadId,
        gpu_class: GpuClassName,
        not_before: Instant = Instant(0),  # noqa: B008 - an instant is a number
    ) -> None:
        """Somebody waits for the room of a class, and cannot have it before an instant for want of something else.
        Only the first who does has it kept."""
        self._first.setdefault(gpu_class, (lane, line, workload_id, not_before))

    def is_awaited(self, gpu_class: GpuClassName) -> bool:
        """Whether somebody further ahead waits for the room of the class."""
        return gpu_class in self._first

    def shadow(self, gpu_class: GpuClassName, spec: WorkloadSpec) -> Shadow | None:
        """What work like this must keep out of in that class: None where nothing is kept, or it is gone in time."""
        first = self._first.get(gpu_class)
        if first is None:
            return None
        if gpu_class not in self._shadows:
            self._shadows[gpu_class] = self._look(gpu_class, *first)
        shadow = self._shadows[gpu_class]
        if shadow is None or latest_end_if_started(spec, self.index.now) <= shadow.at:
            return None
        return shadow

    def launched(self, launch: Launch, spec: WorkloadSpec) -> None:
        """Count what starts in this cycle: what is not gone in time takes of the spare room."""
        self._launched.append((launch, spec))
        shadow = self.shadow(launch.gpu_class, spec)
        if shadow is not None:
            shadow.take(self.index.capacity.table(launch.gpu_class), launch.placement, spec.pod)

    def preempted(self, attempts: Iterable[Attempt]) -> None:
        """Count what this cycle stops: it is coming free already, and not once more at the end of its time limit."""
        self._preempted.extend(attempts)

    def kept(self, gpu_class: GpuClassName, spec: WorkloadSpec, starts_by: Instant | None = None) -> Kept | None:
        """What work like this, started now or by then at the latest, must leave free in that class for bookings that
        start before it has ended."""
        bookings = self.index.bookings
        if not bookings.of_class(gpu_class):
            return None
        launched = self.launched_in(gpu_class)
        preempted = [attempt for attempt in self._preempted if attempt.gpu_class == gpu_class]
        now = self.index.now
        ends_at = latest_end_if_started(spec, now if starts_by is None else starts_by)
        return bookings.kept(gpu_class, self.index.ends[gpu_class], ends_at, now, launched, preempted)

    def _look(
        self, gpu_class: GpuClassName, lane: Lane, line: Line, workload_id: WorkloadId, not_before: Instant
    ) -> Shadow | None:
        """The earliest room for it, until it ends, by what is known of ends and bookings; None where there is none."""
        table, ends, now = self.index.capacity.table(gpu_class), self.index.ends[gpu_class], self.index.now
        row, pods = table.row(lane.key.shape), lane.key.pods
        room_now = table.coming()
        mine = [
            (latest_end_if_started(spec, now), each.placement, spec.pod) for each, spec in self.launched_in(gpu_class)
        ]
        bookings = self.index.bookings.of_class(gpu_class)
        mine += [(each.booked_until, each.placement, each.pod) for each in bookings if is_active(each, now)]
        ahead = [each for each in bookings if each.launched_at > now]
        instants = sorted(
            {now, *ends.instants().tolist(), *(at for at, _, _ in mine), *(each.booked_until for each in ahead)}
        )

        def room_at(at: int) -> IntArray:
            room = room_now + ends.freed_by(at, len(table.names))
            for ends_at, placement, pod in mine:
                if ends_at <= at:
                    free_room(table, room, placement, pod)
            for attempt in self._preempted:
                if attempt.gpu_class == gpu_class and latest_end(attempt) <= at:
                    free_room(table, room, attempt.placement, attempt.pod, sign=-1)
            return room

        def fits(at: int) -> bool:
            return table.together(row, table.counts_if(row, room_at(at))) >= pods

        left_at = cache(lambda at: _left_by(ahead, at, table, room_at(at)))
        first = bisect_left(instants, True, key=fits)
        for instant in instants[first : first + LOOKS_MAX]:
            at = Instant(max(now, not_before, instant))
            room, until = room_at(instant), latest_end_if_started(line.spec, at)
            for begin in {max(at, each.launched_at) for each in ahead if each.launched_at < until}:
                np.minimum(room[0], left_at(begin), out=room[0])
            placement = table.placement(row, table.counts_if(row, room), pods)
            if placement is not None:
                free_room(table, room, placement, lane.key.shape.pod, sign=-1)
                spare = {table.index[name]: room[:, table.index[name]] for name, _ in placement.pods_by_node}
                return Shadow(workload_id, line, lane.key.pool, lane.gpus, at, spare)
        return None

    def launched_in(self, gpu_class: GpuClassName) -> list[tuple[Launch, WorkloadSpec]]:
        return [entry for entry in self._launched if entry[0].gpu_class == gpu_class]


def beside(shadow: Shadow, table: FitTable, row: int, counts: IntArray) -> IntArray:
    """Pods that fit on each node beside what is kept there."""
    kept = counts.copy()
    for position, spare in shadow.spare.items():
        kept[position] = min(int(counts[position]), table.pods_in(row, spare))
    return kept


def _left_by(bookings: Iterable[Attempt], at: Instant, table: FitTable, room: IntArray) -> IntArray:
    """GPUs of the room on each node that those of them which are active then leave. Takes the room."""
    for booking in bookings:
        if is_active(booking, at):
            free_room(table, room, booking.placement, booking.pod, sign=-1)
    gpus: IntArray = room[0]
    return gpus


def free_room(table: FitTable, room: IntArray, placement: Placement, pod: PodRequest, sign: int = 1) -> None:
    """Add what pods leave when they end; sign −1: take away what they need."""
    asked = np.array(amounts(pod))
    for name, pods in placement.pods_by_node:
        position = table.index.get(name)
        if position is not None:
            room[:, position] += sign * pods * asked
