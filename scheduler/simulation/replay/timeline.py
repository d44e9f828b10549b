"""What is going to happen in a replay, in the order of its instants; ties go in the order in which they were planned."""

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

    def pop(self) -> tuple[Instant, Due, Run]:
        """The next of what `next_at` says."""
        at, _, due, run = heappop(self._heap)
        return at, due, run
