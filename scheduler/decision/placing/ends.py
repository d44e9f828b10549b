"""When the attempts of a GPU class end at the latest, and what each then frees on which node.

Kept as arrays, so that asking what is free at an instant costs the same few operations however many run. They are
brought up to date when somebody asks: where nobody waits for room, nobody does.
"""

from collections.abc import Iterable

import numpy as np

from scheduler.decision.placing.fit_table import FitTable, IntArray
from scheduler.decision.placing.shape import amounts
from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, AttemptId, Instant
from scheduler.domain.workloads import Attempt, WorkloadSpec

_NEVER = 2**62
_RESOURCES = np.arange(3)[:, None]


def latest_end(attempt: Attempt) -> Instant:
    """The end of its time limit and the grace after it; of what has not started, as if it had
    started when it was launched."""
    since = attempt.started_at if attempt.started_at is not None else attempt.launched_at
    return Instant(since + attempt.time_limit_ms + attempt.grace_seconds * MS_PER_SECOND)


def latest_end_if_started(spec: WorkloadSpec, now: Instant) -> Instant:
    return Instant(now + spec.time_limit_ms + spec.grace_seconds * MS_PER_SECOND)


def could_start_after(attempt: Attempt, spec: WorkloadSpec, now: Instant) -> bool:
    """Whether work could still use its time limit before its deadline, were the attempt told to stop now and used all of
    its grace."""
    latest = spec.latest_start
    return latest is None or now + attempt.grace_seconds * MS_PER_SECOND <= latest


RESERVED_BEYOND_GRACE_MS = 5 * MS_PER_MINUTE
"""How long, beyond its victims' grace, a preemptor's GPUs are kept for it: the cluster must see them end."""


def kept_until(victims: Iterable[Attempt], now: Instant) -> Instant:
    """Whoever these are stopped for starts before then, or is judged anew."""
    grace_seconds = max((attempt.grace_seconds for attempt in victims), default=0)
    return Instant(now + grace_seconds * MS_PER_SECOND + RESERVED_BEYOND_GRACE_MS)


class Ends:
    """What running attempts will free, one entry per attempt and node."""

    def __init__(self) -> None:
        self._at = np.full(16, _NEVER, dtype=np.int64)
        self._node = np.zeros(16, dtype=np.int64)
        self._freed = np.zeros((3, 16), dtype=np.int64)
        self._entries: dict[AttemptId, list[int]] = {}
        self._unused = list(range(16))
        self._added: dict[AttemptId, tuple[Attempt, FitTable]] = {}
        """Those that have no entries yet."""

    def add(self, attempt: Attempt, table: FitTable) -> None:
        """Its nodes that are there. Whoever lays the table out anew adds all attempts anew."""
        self._added[attempt.id] = (attempt, table)

    def remove(self, attempt_id: AttemptId) -> None:
        if self._added.pop(attempt_id, None) is not None:
            return
        for entry in self._entries.pop(attempt_id, []):
            self._at[entry] = _NEVER
            self._freed[:, entry] = 0
            self._unused.append(entry)

    def _refresh(self) -> None:
        for attempt, table in self._added.values():
            self._enter(attempt, table)
        self._added.clear()

    def _enter(self, attempt: Attempt, table: FitTable) -> None:
        asked = amounts(attempt.pod)
        entries: list[int] = []
        for name, pods in attempt.placement.pods_by_node:
            position = table.index.get(name)
            if position is None:
                continue
            if not self._unused:
                self._grow()
            entry = self._unused.pop()
            entries.append(entry)
            self._at[entry] = latest_end(attempt)
            self._node[entry] = position
            self._freed[:, entry] = [pods * each for each in asked]
        self._entries[attempt.id] = entries

    def instants(self) -> IntArray:
        """Those at which something ends, in order."""
        self._refresh()
        instants: IntArray = np.unique(self._at[self._at < _NEVER])
        return instants

    def freed_by(self, at: int, nodes: int) -> IntArray:
        """What will have been freed on each of so many nodes: (3 × nodes)."""
        self._refresh()
        ended = np.flatnonzero(self._at <= at)
        cells = self._node[ended] + nodes * _RESOURCES  # of the answer: all resources are summed up at once
        freed = np.bincount(cells.ravel(), weights=self._freed[:, ended].ravel(), minlength=3 * nodes)
        return freed.astype(np.int64).reshape(3, nodes)

    def _grow(self) -> None:
        size = len(self._at)
        self._at = np.concatenate([self._at, np.full(size, _NEVER, dtype=np.int64)])
        self._node = np.concatenate([self._node, np.zeros(size, dtype=np.int64)])
        self._freed = np.concatenate([self._freed, np.zeros((3, size), dtype=np.int64)], axis=1)
        self._unused = list(range(2 * size - 1, size - 1, -1))
