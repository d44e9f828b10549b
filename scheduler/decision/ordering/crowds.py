"""Crowds: of an owner at the limit of GPUs, the lines that wait for nothing else: none is looked at before its turn.

Their standings are the same, so that rank and age put them in order, and they have heard of the limit. A line of which
anything else changes leaves its crowd and is judged like any other.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from scheduler.decision.ordering.queue import LaneKey, Line, Party, Ruling, Turn
from scheduler.domain.policy import Pool
from scheduler.domain.units import GpuClassName

Entry = tuple[Turn, Line]

Wish = tuple[Party, Hashable, tuple[GpuClassName, ...]]
"""Who pays, for what kind of use, and on which classes."""


@dataclass(eq=False, slots=True)
class Rows:
    """Lines of a crowd that ask for the same number of GPUs."""

    in_order: list[Entry] = field(default_factory=list)
    by_wish: dict[Wish, list[Line]] = field(default_factory=dict)
    """The cheapest first, as on their dearest classes."""
    by_key: dict[LaneKey, dict[Line, None]] = field(default_factory=dict)
    """By the lane in which they would stand."""
    ruling: Ruling | None = None
    """What the limit was told to say when a cycle that could have started one was through."""

    def before(self, turn: Turn) -> list[Line]:
        return [line for _, line in self.in_order[: bisect_left(self.in_order, (turn,))]]

    def all(self) -> list[Line]:
        return [line for _, line in self.in_order]


@dataclass(eq=False, slots=True)
class Crowd:
    """Lines of one owner in one pool, at work on projects of one importance."""

    pool: Pool | None
    importance: int
    nodes_taken: int
    """As of which changes of nodes it is known where they may run."""
    by_gpus: dict[int, Rows] = field(default_factory=dict)
    """By the GPUs that one of their workloads asks for."""

    def goes_with(self, line: Line) -> bool:
        """Whether they are of one order, in which nobody overtakes another as their owner's starts send them back."""
        return line.pool == self.pool and line.importance == self.importance

    def up_to(self, gpus: int) -> Iterator[Rows]:
        """Those that ask for no more GPUs."""
        return (rows for asked, rows in self.by_gpus.items() if asked <= gpus)

    def lines_up_to(self, gpus: int) -> list[Line]:
        return [line for rows in self.up_to(gpus) for line in rows.all()]

    def join(self, line: Line) -> None:
        rows = self.by_gpus.setdefault(line.gpus, Rows())
        line.turn_in_crowd = line.turn()
        insort(rows.in_order, (line.turn_in_crowd, line))
        wish, key = _wish_and_key(line)
        insort(rows.by_wish.setdefault(wish, []), line, key=_dearest)
        rows.by_key.setdefault(key, {})[line] = None

    def leave(self, line: Line) -> None:
        assert line.turn_in_crowd is not None, "who leaves a crowd stood in it"
        rows = self.by_gpus[line.gpus]
        del rows.in_order[bisect_left(rows.in_order, (line.turn_in_crowd,))]
        line.turn_in_crowd = None
        if not rows.in_order:
            del self.by_gpus[line.gpus]
            return
        wish, key = _wish_and_key(line)
        alike = rows.by_wish[wish]
        del alike[alike.index(line, bisect_left(alike, line.dearest, key=_dearest))]
        if not alike:
            del rows.by_wish[wish]
        del rows.by_key[key][line]
        if not rows.by_key[key]:
            del rows.by_key[key]


def _wish_and_key(line: Line) -> tuple[Wish, LaneKey]:
    assert line.full_key is not None, "where it may run is known"
    return (line.party, line.use, line.full_key.gpu_classes), line.full_key


def dearer_than(alike: list[Line], most: int) -> list[Line]:
    """Of such as are in order of what they need on their dearest classes."""
    return alike[bisect_right(alike, most, key=_dearest) :]


_dearest = attrgetter("dearest")
