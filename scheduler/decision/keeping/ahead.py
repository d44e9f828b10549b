"""Room ahead: what is left of each node when whatever is stopping has ended, and of its GPUs as each booking begins.

Where somebody is to go, it must fit at all of these instants. Whoever is stopped for it makes room now, and at a
booking's start only by what it would still have had then: what ends before is free by then anyway, and never counts twice.
"""

from bisect import bisect_left
from collections.abc import Iterable

import numpy as np

from scheduler.decision.keeping.bookings import Kept
from scheduler.decision.placing.ends import latest_end
from scheduler.decision.placing.fit_table import FitTable, IntArray
from scheduler.decision.placing.freed import add_freed
from scheduler.decision.placing.node_use import Amounts
from scheduler.decision.placing.shape import amounts
from scheduler.domain.cluster import PodRequest
from scheduler.domain.units import Instant
from scheduler.domain.workloads import Attempt

Rows = tuple[int, ...]
"""An amount by row: (GPUs, CPU milli, memory MiB) now, then GPUs at the start of each booking ahead."""


class RoomAhead:
    """The nodes of a GPU class in the eyes of one who is to leave free what is `kept` there."""

    def __init__(self, table: FitTable, kept: Kept | None) -> None:
        self._table = table
        self._instants: tuple[Instant, ...] = ()
        coming = table.coming()
        self.rows = coming
        """Rows × nodes; not to be written to."""
        if kept is not None:
            self._instants = tuple(at for at, _ in kept.missing)
            self.rows = np.vstack([coming, *(coming[0] - missing for _, missing in kept.missing)])

    def asked(self, pod: PodRequest) -> Rows:
        """What a pod asks that still runs when the last of the bookings begins."""
        return self.until(None, amounts(pod))

    def until(self, ends_at: Instant | None, taken: Amounts) -> Rows:
        """What is taken until an instant (None: beyond all of them): at starts of bookings from then on it is free."""
        ahead = len(self._instants)
        still = ahead if ends_at is None else bisect_left(self._instants, ends_at)
        return (*taken, *([taken[0]] * still), *([0] * (ahead - still)))

    @property
    def gpus(self) -> IntArray:
        """Of each node, those that are left at the worst of these instants."""
        return _least(self.rows)

    def counts(self, row: int, rows: IntArray) -> IntArray:
        """Pods of a shape that would fit on each node, were this its room."""
        worst = np.vstack([_least(rows), rows[1:3]]) if self._instants else rows
        return self._table.counts_if(row, worst)

    def without(self, attempts: Iterable[Attempt]) -> IntArray:
        """The room if all of these ended now: rows × nodes."""
        gone = list(attempts)
        rows = self.rows.copy()
        add_freed(rows[:3], self._table, gone)
        for number, at in enumerate(self._instants):
            freed = self._table.nothing()
            add_freed(freed, self._table, (each for each in gone if latest_end(each) > at))
            rows[3 + number] += freed[0]
        return rows


def _least(rows: IntArray) -> IntArray:
    least: IntArray = np.minimum(rows[0], rows[3:].min(axis=0)) if len(rows) > 3 else rows[0]
    return least
