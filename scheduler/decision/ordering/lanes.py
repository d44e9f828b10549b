"""All lanes, found by what may change for them: room of a GPU class, quota of a pool, victims for a priority.

A lane is looked at again only when something flips that it depends on. What lanes have in common is looked at once,
in a cell: the room for a number of pods of one shape, the quota for a number of GPUs.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TypeVar

from scheduler.decision.ordering.queue import Lane, LaneKey, Line, OrderKey
from scheduler.decision.placing.shape import Shape
from scheduler.domain.units import GpuClassName, PoolName

Queue = tuple[PoolName, GpuClassName]
"""Those of a pool that wait for the room of a GPU class."""

Lanes = dict[Lane, None]

_K = TypeVar("_K", bound=Hashable)


@dataclass(eq=False, slots=True)
class Cell:
    """Lanes for which the same thing holds or does not, as far as it was last looked at."""

    lanes: Lanes = field(default_factory=dict)
    holds: int | None = None


@dataclass(slots=True)
class _OfClass:
    """The cells of one GPU class."""

    room: dict[tuple[Shape, int], Cell] = field(default_factory=dict)
    quota: dict[PoolName, dict[int, Cell]] = field(default_factory=dict)
    rank: dict[PoolName, dict[int, Lanes]] = field(default_factory=dict)
    """Lanes by pool and by the priorities of their lines: the same victims are there for all of one."""


class LaneIndex:
    def __init__(self) -> None:
        self._by_key: dict[LaneKey, Lane] = {}
        self._classes: dict[GpuClassName, _OfClass] = defaultdict(_OfClass)
        self._waiting: dict[GpuClassName, dict[PoolName, Lanes]] = defaultdict(dict)
        """Funded lanes that wait for the room of a class, by pool; pools of which none does are not there."""
        self._firsts: dict[Queue, list[tuple[OrderKey, int, Lane]]] = defaultdict(list)
        """Heaps of who is first in each waiting lane; what no longer holds is dropped when it comes to the top."""
        self._pushed = 0
        self.standing = 0
        """Lines that stand in lanes."""
        self.short: dict[Lane, GpuClassName] = {}
        """Lanes whose first has waited too long and lacks quota, and the class whose quota it waits for."""
        self.touched: set[Queue] = set()
        """Queues of which somebody may have become first."""

    def join(self, line: Line, key: LaneKey) -> Lane:
        lane = self._by_key.get(key)
        if lane is None:
            lane = self._by_key[key] = Lane(key, gpus=line.gpus)
            for gpu_class in key.gpu_classes:
                self._enter(lane, gpu_class)
        lane.insert(line)
        self.standing += 1
        if lane.priorities[line.priority] == 1 and key.is_funded:
            for ranks in self._ranks(key):
                ranks.setdefault(line.priority, {})[lane] = None
        return lane

    def leave(self, line: Line) -> Lane:
        """The line stands in no lane any more. Whoever calls has empty lanes forgotten, once all have joined."""
        lane = line.lane
        assert lane is not None, "who leaves a lane stood in it"
        lane.remove(line)
        self.standing -= 1
        if line.priority not in lane.priorities and lane.key.is_funded:
            for ranks in self._ranks(lane.key):
                del ranks[line.priority][lane]
                if not ranks[line.priority]:
                    del ranks[line.priority]
        return lane

    def _ranks(self, key: LaneKey) -> list[dict[int, Lanes]]:
        """Where funded lanes are found by priority: nobody is preempted for what is not funded."""
        return [self._classes[gpu_class].rank.setdefault(key.pool, {}) for gpu_class in key.gpu_classes]

    def forget_if_empty(self, lane: Lane) -> None:
        if lane.lines or self._by_key.get(lane.key) is not lane:
            return
        self.set_blocked(lane, None)
        self.short.pop(lane, None)
        del self._by_key[lane.key]
        for gpu_class in lane.key.gpu_classes:
            self._strike(lane, gpu_class)

    def known(self, key: LaneKey) -> Lane | None:
        """The lane of those who want the same, where anybody does."""
        return self._by_key.get(key)

    def all(self) -> Iterable[Lane]:
        return self._by_key.values()

    def room_cells(self, gpu_class: GpuClassName) -> Iterable[tuple[tuple[Shape, int], Cell]]:
        return self._classes[gpu_class].room.items()

    def of_several_classes(self, gpu_class: GpuClassName) -> Iterator[Lane]:
        """Lanes whose work may run on that class or on others: which of them it waits for depends on all of their nodes."""
        for _, cell in self.room_cells(gpu_class):
            yield from (lane for lane in cell.lanes if len(lane.key.gpu_classes) > 1)

    def quota_cells(self, pool: PoolName, gpu_class: GpuClassName) -> Iterable[tuple[int, Cell]]:
        return self._classes[gpu_class].quota.get(pool, {}).items()

    def ranks(self, gpu_class: GpuClassName) -> Iterable[tuple[PoolName, dict[int, Lanes]]]:
        return self._classes[gpu_class].rank.items()

    def set_blocked(self, lane: Lane, gpu_class: GpuClassName | None, first: OrderKey | None = None) -> None:
        """From `first` on, it waits for the room of this class (None: for none)."""
        before = lane.blocked_class
        if before == gpu_class and lane.first_waiting == first:
            return
        lane.blocked_class, lane.first_waiting = gpu_class, first
        if before is not None:
            self.touched.add((lane.key.pool, before))
            if before != gpu_class:
                self._wait_no_more(lane, before)
        if gpu_class is not None and first is not None:
            queue = (lane.key.pool, gpu_class)
            self.touched.add(queue)
            self._waiting[gpu_class].setdefault(lane.key.pool, {})[lane] = None
            self._pushed += 1
            heappush(self._firsts[queue], (first, self._pushed, lane))

    def _wait_no_more(self, lane: Lane, gpu_class: GpuClassName) -> None:
        pools = self._waiting[gpu_class]
        del pools[lane.key.pool][lane]
        if not pools[lane.key.pool]:
            del pools[lane.key.pool]

    @property
    def is_any_waiting(self) -> bool:
        """Whether a funded lane waits for the room of a class, or one that has aged for quota."""
        return bool(self.short) or any(self._waiting.values())

    def pools_waiting(self, gpu_class: GpuClassName) -> Iterable[PoolName]:
        """Pools of which a funded lane waits for the room of the class."""
        return self._waiting[gpu_class]

    def waiting(self, queue: Queue) -> Iterable[Lane]:
        """The lanes that wait in a queue."""
        return self._waiting[queue[1]].get(queue[0], {})

    def first_waiting(self, queue: Queue) -> Lane | None:
        """The lane in which the first stands of those that wait in a queue."""
        firsts = self._firsts.get(queue, [])
        while firsts:
            first, _, lane = firsts[0]
            if lane.blocked_class == queue[1] and lane.first_waiting == first:
                return lane
            heappop(firsts)
        return None

    def is_wanted(self, gpu_class: GpuClassName) -> bool:
        """Whether funded work of any pool waits for the room of the class."""
        return bool(self._waiting[gpu_class])

    def _enter(self, lane: Lane, gpu_class: GpuClassName) -> None:
        cells, key = self._classes[gpu_class], lane.key
        _enter(cells.room, (key.shape, key.pods), lane)
        if key.is_funded:
            _enter(cells.quota.setdefault(key.pool, {}), lane.gpus, lane)

    def _strike(self, lane: Lane, gpu_class: GpuClassName) -> None:
        cells, key = self._classes[gpu_class], lane.key
        _strike(cells.room, (key.shape, key.pods), lane)
        if key.is_funded:
            _strike(cells.quota[key.pool], lane.gpus, lane)


def _enter(cells: dict[_K, Cell], key: _K, lane: Lane) -> None:
    cell = cells.get(key)
    if cell is None:
        cell = cells[key] = Cell()
    cell.lanes[lane] = None


def _strike(cells: dict[_K, Cell], key: _K, lane: Lane) -> None:
    lanes = cells[key].lanes
    del lanes[lane]
    if not lanes:
        del cells[key]
