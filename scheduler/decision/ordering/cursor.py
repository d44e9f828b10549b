"""How a cycle goes through a lane: its workloads in their order, without leaving a mark on it."""

from bisect import bisect_right
from collections.abc import Callable
from heapq import heapify, heappop, heappush, heapreplace

from scheduler.decision.ordering.queue import Entry, Lane, Line, OrderKey, place_of

Placing = Callable[[Line, int], OrderKey]
"""Where the member at a position of a line stands now. It never moves forward while a lane is walked."""


class Cursor:
    """Walks a lane's workloads in order, leaving the lane as it is.

    An owner's starts may send back those of theirs that follow: a place is looked up anew when its turn comes.
    """

    def __init__(self, lane: Lane, placing: Placing = Line.order_key) -> None:
        self.lane = lane
        self._placing = placing
        self._ahead: list[tuple[OrderKey, int, list[Entry]]] = [(lane.head(), 0, lane.lines)]
        """A heap of what is not begun: of each list of lines the next one's place, its position, and the list."""
        self._begun: list[tuple[OrderKey, int, Line]] = []
        """A heap of the lines that were begun: place and position of their next member."""
        self._last_begun: OrderKey | None = None
        self.queued_at: OrderKey | None = None
        """Where its lane has its turn in the pool; None where it is through."""

    def peek(self) -> tuple[OrderKey, int, Line] | None:
        """The next workload's place, its position in its line, and the line."""
        ahead, begun = self._ahead, self._begun
        while True:
            if ahead and (not begun or ahead[0][0] < begun[0][0]):
                self._last_begun, position, lines = ahead[0]
                line = lines[position][1]
                heappush(begun, (self._placing(line, 0), 0, line))
                if position + 1 < len(lines):
                    heapreplace(ahead, (lines[position + 1][0], position + 1, lines))
                else:
                    heappop(ahead)
                continue
            if not begun:
                return None
            known, position, line = begun[0]
            place = self._placing(line, position)
            if place == known:
                return begun[0]
            heapreplace(begun, (place, position, line))

    def advance(self, *, past_line: bool = False) -> None:
        """Go past the workload that was peeked at, or past all that is left of its line."""
        # Not peeked anew: serving it may have changed its place.
        _, position, line = heappop(self._begun)
        if not past_line and position + 1 < len(line.members):
            heappush(self._begun, (self._placing(line, position + 1), position + 1, line))

    def come(self, line: Line, place: OrderKey) -> None:
        """A line that belongs to the lane and does not stand in it has its turn at that place."""
        heappush(self._begun, (place, 0, line))

    def pass_over(self, lasts_ms: int) -> None:
        """Go past all that is left of lines that last as long or longer, without looking at any of them."""
        ahead = []
        for length, lines in self.lane.by_length.items():
            position = bisect_right(lines, self._last_begun, key=place_of) if self._last_begun is not None else 0
            if length < lasts_ms and position < len(lines):
                ahead.append((lines[position][0], position, lines))
        heapify(ahead)
        self._ahead = ahead
        self._begun = [entry for entry in self._begun if entry[2].lasts_ms < lasts_ms]
        heapify(self._begun)
