"""What is going to happen in a replay, in the order of its instants; ties go in the order in which they were planned."""

from collections.abc import Iterator
from enum import IntEnum
from heapq import heappop, heappush

from scheduler.domain.units import Instant
from scheduler.simulation.replay.works import Run


class Due(IntEnum):
    FINISH = 0
    """Its work is done, or its time limit is over."""
    ENDED = 1
    """It was told to stop, and has."""
    RENEW = 2
    CHECKPOINT = 3
    LEFT = 4
    """Pods that it gave back have ended."""


class Timeline:
    """A priority queue. What was planned for a run that is over is passed over when it comes up."""

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Due, Run]] = []
        self._planned = 0

    def plan(self, at: Instant, due: Due, run: Run) -> None:
        self._planned += 1
        heappush(self._heap, (at, self._planned, due, run))

    def next_at(self) -> Instant | None:
        while self._heap and self._heap[0][3].is_over:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def until(self, last: Instant) -> Iterator[tuple[Instant, Due, Run]]:
        """What comes up to then, that included which is planned meanwhile."""
        heap = self._heap
        while heap and heap[0][0] <= last:
            at, _, due, run = heappop(heap)
            if not run.is_over:
                yield at, due, run
