"""What attempts would free on the nodes of their GPU class, were they stopped."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from scheduler.decision.placing.fit_table import FitTable, IntArray
from scheduler.decision.placing.node_use import Amounts
from scheduler.decision.placing.shape import amounts
from scheduler.domain.units import AttemptId, NodeName
from scheduler.domain.workloads import Attempt

_CHANGES_MAX = 1_000
"""Beyond so many changes that nobody asked about, the whole is counted anew when somebody does."""


def freed_by(attempt: Attempt, table: FitTable) -> Iterator[tuple[int, Amounts]]:
    """(node, what ends there) of an attempt, on nodes that are there. Of one that gives back some of its pods, whoever
    asks passes the attempt with those alone."""
    gpus, cpu_milli, memory_mib = amounts(attempt.pod)
    for name, pods in attempt.placement.pods_by_node:
        position = table.index.get(name)
        if position is not None:
            yield position, (pods * gpus, pods * cpu_milli, pods * memory_mib)


def add_freed(room: IntArray, table: FitTable, attempts: Iterable[Attempt], sign: int = 1) -> None:
    """Add to the room on each node (3 × nodes) what the attempts would free there, or take it away again."""
    entries = [entry for attempt in attempts for entry in freed_by(attempt, table)]
    if entries:
        freed = np.array([each for _, each in entries], dtype=np.int64)
        np.add.at(room.T, [position for position, _ in entries], sign * freed)


class Freed:
    """The sum over a set of attempts that changes, brought up to date when it is asked for."""

    def __init__(self) -> None:
        self._nodes: Mapping[NodeName, int] | None = None
        """As the table was laid out when it was last counted; None: count anew."""
        self._sum = np.zeros((3, 0), dtype=np.int64)
        self._changes: list[tuple[Attempt, int]] = []

    def change(self, attempt: Attempt, sign: int) -> None:
        """It came (1) or went (−1)."""
        if self._nodes is None:
            return
        self._changes.append((attempt, sign))
        if len(self._changes) > _CHANGES_MAX:
            self._nodes = None
            self._changes.clear()

    def of(self, attempts: Mapping[AttemptId, Attempt], table: FitTable) -> IntArray:
        """The sum over `attempts`, which is the set as it is now: 3 × nodes, not to be written to."""
        if self._nodes is not table.index:
            self._nodes = table.index
            self._sum = table.nothing()
            add_freed(self._sum, table, attempts.values())
        else:
            for attempt, sign in self._changes:
                add_freed(self._sum, table, [attempt], sign)
        self._changes.clear()
        return self._sum
