"""Whose turn it is in a pool: lanes that are walked, by who is next in each, and lines that come to theirs then."""

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from scheduler.decision.ordering.cursor import Cursor
from scheduler.decision.ordering.queue import Lane, Line, OrderKey
from scheduler.domain.units import PoolName


class Held:
    """Lines of one owner in one pool that are held back until it is their turn, with the lanes that they belong to. All of
    them are sent back alike by what their owner starts, so that they stay in their order."""

    def __init__(self, lines: Sequence[tuple[Line, Lane]]) -> None:
        self.lines = lines
        self._position = 0

    def peek(self) -> tuple[Line, Lane]:
        """Who is next, and where it belongs."""
        return self.lines[self._position]

    def advance(self) -> bool:
        """Go on to the next. False: there is none."""
        self._position += 1
        return self._position < len(self.lines)


Turn = tuple[OrderKey, Lane, Held | None]
"""A lane, by who is next in it; or lines held back, by who is next, and the lane of that one."""

Turns = list[Turn]
"""A heap of them."""


def turns_by_pool(cursors: Iterable[Cursor], held: Iterable[Held]) -> dict[PoolName, Turns]:
    """What is about to be walked."""
    pools: dict[PoolName, Turns] = {}
    for cursor in cursors:
        lane = cursor.lane
        cursor.queued_at = lane.head()
        pools.setdefault(lane.key.pool, []).append((cursor.queued_at, lane, None))
    for together in held:
        line, lane = together.peek()
        pools.setdefault(lane.key.pool, []).append((line.order_key(), lane, together))
    for turns in pools.values():
        heapify(turns)
    return pools


def follow(turns: Turns, cursor: Cursor, head: tuple[OrderKey, int, Line] | None) -> None:
    """Its lane, which was the first of those, goes on with that workload; None: it is through."""
    if head is not None:
        cursor.queued_at = head[0]
        heapreplace(turns, (head[0], cursor.lane, None))
    else:
        cursor.queued_at = None
        heappop(turns)


def go_on(turns: Turns, place: OrderKey, held: Held) -> None:
    """Past the first of those that were held back, which was at that place: nothing has started since, and so the next of
    them stands as far back."""
    if held.advance():
        line, lane = held.peek()
        heapreplace(turns, ((*place[:2], *line.members[0]), lane, held))
    else:
        heappop(turns)


def call(turns: Turns, cursor: Cursor, place: OrderKey, line: Line) -> None:
    """It goes on in its lane, of which it is the next."""
    cursor.come(line, place)
    cursor.queued_at = place
    heappush(turns, (place, cursor.lane, None))
