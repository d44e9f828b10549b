"""What is going to happen in a replay, in the order of its instants; ties go in the order in which they were planned."""

from collections.abc import Callable
from heapq import heappop, heappush

from scheduler.domain.units import Instant
from scheduler.simulation.replay.works import Run

Happening = Callable[[Run, Instant], None]
"""What is done once its instant has come."""


class Timeline:
    """A priority queue. What was planned for a run that is over is passed over when it comes up."""

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, int, Happening, Run]] = []
        self._planned = 0

    def plan(self, at: Instant, happening: Happening, run: Run) -> None:
        self._planned += 1
        heappush(self._heap, (at, self._planned, happening, run))

    def next_at(self) -> Instant | None:
        while self._heap and self._heap[0][3].is_over:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def happen_until(self, last: Instant) -> None:
        """What was planned up to then comes to pass, that included which is planned meanwhile."""
        heap = self._heap
        while heap and heap[0][0] <= last:
            at, _, happening, run = heappop(heap)
            if not run.is_over:
                happening(run, at)
