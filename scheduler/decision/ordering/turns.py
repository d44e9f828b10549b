"""Whose turn it is in a pool: lanes that are walked, by who is next in each, and lines that come to theirs then."""

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from scheduler.decision.ordering.cursor import Cursor
from scheduler.decision.ordering.queue import LaneKey, Line, OrderKey
from scheduler.domain.units import PoolName

Coming = tuple[Line, LaneKey]
"""A line that stands in no lane, and the key of the one that it belongs to."""


class Held:
    """Lines that are held back until it is their turn: of one party and rank, that ask for as many GPUs. All of them are
    sent back alike by what their owner starts, so that they stay in their order; and when their owner comes to the limit
    none of them starts any more."""

    def __init__(self, lines: Sequence[Coming]) -> None:
        self.lines = lines
        self._position = 0

    def peek(self) -> Coming:
        """Who is next, and where it belongs."""
        return self.lines[self._position]

    def advance(self) -> bool:
        """Go on to the next. False: there is none."""
        self._position += 1
        return self._position < len(self.lines)

    def left(self) -> Sequence[Coming]:
        """Those that had no turn."""
        return self.lines[self._position :]


Turn = tuple[OrderKey, Cursor | Held]
"""A lane's way or lines held back, by who is next of them."""

Turns = list[Turn]
"""A heap of them."""


def turns_by_pool(cursors: Iterable[Cursor], held: Iterable[Held]) -> dict[PoolName, Turns]:
    """What is about to be walked."""
    pools: dict[PoolName, Turns] = {}
    for cursor in cursors:
        lane = cursor.lane
        cursor.queued_at = lane.head()
        pools.setdefault(lane.key.pool, []).append((cursor.queued_at, cursor))
    for together in held:
        line, key = together.peek()
        pools.setdefault(key.pool, []).append((line.order_key(), together))
    for turns in pools.values():
        heapify(turns)
    return pools


def follow(turns: Turns, cursor: Cursor, head: tuple[OrderKey, int, Line] | None) -> None:
    """Its lane, which was the first of those, goes on with that workload; None: it is through."""
    if head is not None:
        cursor.queued_at = head[0]
        heapreplace(turns, (head[0], cursor))
    else:
        cursor.queued_at = None
        heappop(turns)


def go_on(turns: Turns, place: OrderKey, held: Held) -> None:
    """Past the first of those that were held back, which was at that place: nothing has started since, and so the next of
    them stands as far back."""
    if held.advance():
        line, _ = held.peek()
        heapreplace(turns, ((*place[:2], *line.members[0]), held))
    else:
        heappop(turns)


def call(turns: Turns, cursor: Cursor, place: OrderKey) -> None:
    """A lane has its turn at that place, by one that was held back."""
    cursor.queued_at = place
    heappush(turns, (place, cursor))
