"""Instants at which something changes of itself: a pace band, an allowance that opens, a minimum runtime's end."""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Generic, TypeVar

from scheduler.domain.units import Instant

_T = TypeVar("_T")


class Timers(Generic[_T]):
    """What is due when. A subject may be due several times; whoever is woken looks whether it still matters."""

    def __init__(self) -> None:
        self._due: list[tuple[Instant, int, _T]] = []
        self._count = 0

    def set(self, at: Instant, subject: _T) -> None:
        self._count += 1
        heappush(self._due, (at, self._count, subject))

    def pop_due(self, now: Instant) -> Sequence[_T]:
        """Those that are due by now, in order."""
        if not self._due or self._due[0][0] > now:  # as mostly
            return ()
        due: list[_T] = []
        while self._due and self._due[0][0] <= now:
            due.append(heappop(self._due)[2])
        return due

    def next_at(self) -> Instant | None:
        """When the next subject is due."""
        return self._due[0][0] if self._due else None
