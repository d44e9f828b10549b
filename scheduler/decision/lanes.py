"""All lanes, found by key, GPU class and pool, and who is first of those that wait for the capacity of a class."""

from collections import defaultdict
from collections.abc import Iterable

from scheduler.decision.queue import Lane, LaneKey, Line
from scheduler.domain.units import GpuClassName, PoolName

Queue = tuple[PoolName, GpuClassName]
"""Those of a pool that wait for the capacity of a GPU class."""


class LaneIndex:
    def __init__(self) -> None:
        self._by_key: dict[LaneKey, Lane] = {}
        self._by_class: dict[GpuClassName, dict[Lane, None]] = defaultdict(dict)
        self._waiting: dict[Queue, dict[Lane, None]] = defaultdict(dict)
        self.touched: set[Queue] = set()
        """Queues of which somebody may have become first."""

    def join(self, line: Line, key: LaneKey) -> Lane:
        lane = self._by_key.get(key)
        if lane is None:
            lane = self._by_key[key] = Lane(key, gpus=line.gpus)
            for gpu_class in key.gpu_classes:
                self._by_class[gpu_class][lane] = None
        lane.insert(line)
        return lane

    def leave(self, line: Line) -> Lane | None:
        """The line stands in no lane any more. An empty lane is forgotten."""
        lane = line.lane
        if lane is None:
            return None
        lane.remove(line)
        self.set_blocked(lane, lane.blocked_class)
        if not lane.lines:
            self.set_blocked(lane, None)
            del self._by_key[lane.key]
            for gpu_class in lane.key.gpu_classes:
                del self._by_class[gpu_class][lane]
        return lane

    def of_class(self, gpu_class: GpuClassName) -> Iterable[Lane]:
        return self._by_class.get(gpu_class, {})

    def all(self) -> Iterable[Lane]:
        return self._by_key.values()

    def set_blocked(self, lane: Lane, gpu_class: GpuClassName | None) -> None:
        """It waits for the capacity of this class (None: for none)."""
        for waited_for in (lane.blocked_class, gpu_class):
            if waited_for is not None:
                self.touched.add((lane.key.pool, waited_for))
        if lane.blocked_class == gpu_class:
            return
        if lane.blocked_class is not None:
            del self._waiting[lane.key.pool, lane.blocked_class][lane]
        lane.blocked_class = gpu_class
        if gpu_class is not None:
            self._waiting[lane.key.pool, gpu_class][lane] = None

    def waiting(self, queue: Queue) -> Iterable[Lane]:
        return self._waiting.get(queue, {})

    def is_wanted(self, gpu_class: GpuClassName) -> bool:
        """Whether funded work of any pool waits for the capacity of the class."""
        return any(lane.key.is_funded for lane in self.of_class(gpu_class) if lane.blocked_class == gpu_class)
