"""What attempts would free on the nodes of their GPU class, were they stopped."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from scheduler.decision.fit_table import Amounts, FitTable, IntArray, amounts
from scheduler.domain.units import NodeName
from scheduler.domain.workloads import Attempt

_CHANGES_MIN = 64
"""So many changes are kept even of a small set before it is counted anew."""


def freed_by(attempt: Attempt, table: FitTable) -> Iterator[tuple[int, Amounts]]:
    """(node, what ends there) of an attempt, on nodes that are there."""
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
        """As the table was laid out when it was last counted."""
        self._sum = np.zeros((3, 0), dtype=np.int64)
        self._come: list[Attempt] = []
        self._gone: list[Attempt] = []

    def come(self, attempt: Attempt) -> None:
        if self._nodes is not None:
            self._come.append(attempt)

    def gone(self, attempt: Attempt) -> None:
        if self._nodes is not None:
            self._gone.append(attempt)

    def of(self, attempts: Mapping[object, Attempt], table: FitTable) -> IntArray:
        """The sum over `attempts`, which is the set as it is now. Not to be written to."""
        changes = len(self._come) + len(self._gone)
        if self._nodes is not table.index or changes > max(_CHANGES_MIN, len(attempts)):
            self._nodes = table.index
            self._sum = np.zeros((3, len(table.names)), dtype=np.int64)
            self._come, self._gone = list(attempts.values()), []
        add_freed(self._sum, table, self._come)
        add_freed(self._sum, table, self._gone, -1)
        self._come, self._gone = [], []
        return self._sum
