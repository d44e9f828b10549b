"""One GPU class as it empties, for forecasts: what runs ends, what waits starts in order, each as early as it fits."""

from dataclasses import dataclass, field
from heapq import heappop, heappush

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import LaneKey
from scheduler.decision.placing.fit_table import IntArray
from scheduler.decision.placing.shape import amounts
from scheduler.domain.units import GpuClassName, Instant, PerMille

_Freed = list[tuple[int, tuple[int, ...]]]
"""(node, what becomes free there), for each node."""
_End = tuple[int, int, str, int, _Freed]
"""When, a number that tells equals apart, the root of the pool, GPUs of its quota, and what is freed."""
Other = tuple[LaneKey, int]
"""Somebody else who waits: what they want, and their time limit."""


@dataclass(frozen=True, slots=True)
class Others:
    """Who may take the same GPUs, in order: those served before it, those after, and those before it that wait, as it does,
    for the hours of their class."""

    ahead: list[Other] = field(default_factory=list)
    behind: list[Other] = field(default_factory=list)
    alike: list[Other] = field(default_factory=list)


class Emptying:
    """`share` of every time limit is used. What is asked about starts no earlier than `since`."""

    def __init__(self, index: Index, gpu_class: GpuClassName, share: PerMille, since: Instant | None) -> None:
        self._now = index.now
        self._since = since
        self._share = share
        self._table = index.capacity.table(gpu_class)
        self._room: IntArray = self._table.coming().copy()
        self._quotas = index.quotas
        self._free: dict[str, int] = {}
        self._gpu_class = gpu_class
        self._pushed = 0
        self._ends: list[_End] = []
        for attempt in index.running.attempts.values():
            if attempt.gpu_class == gpu_class and attempt.stopping_since is None:
                since = attempt.started_at if attempt.started_at is not None else attempt.launched_at
                left = max(0, since + attempt.time_limit_ms - self._now)
                freed = [
                    (self._table.index[name], tuple(pods * each for each in amounts(attempt.pod)))
                    for name, pods in attempt.placement.pods_by_node
                    if name in self._table.index
                ]
                root = index.quotas.root_of.get(attempt.pool, "") if attempt.is_funded else ""
                self._push(self._now + left * share // 1000, root, attempt.gpus, freed)

    def start_of(self, others: Others, key: LaneKey) -> Instant | None:
        """When the workload of that lane starts, once those ahead have; if it may only later, those behind who have started
        by then are before it, too."""
        at = self._start_all(self._now, others.ahead)
        if self._since is not None:
            for behind_key, time_limit_ms in others.behind:
                self._start(at, behind_key, time_limit_ms, self._since)
            at = self._start_all(max(at, self._since), others.alike)
        started = self._start(at, key, 0)
        return Instant(started) if started is not None else None

    def _start_all(self, at: int, each: list[Other]) -> int:
        """Nobody of them before those ahead of them. Returns when the last that starts at all does."""
        for key, time_limit_ms in each:
            started = self._start(at, key, time_limit_ms)
            at = started if started is not None else at
        return at

    def _start(self, at: int, key: LaneKey, time_limit_ms: int, before: int | None = None) -> int | None:
        """Take the earliest room from `at` on; None where what is known to end makes none, or none before that instant."""
        table, row, gpus = self._table, self._table.row(key.shape), key.pods * key.shape.pod.gpus
        root = self._quotas.root_of.get(key.pool, "") if key.is_funded else ""
        self._free.setdefault(root, self._quotas.available(key.pool, self._gpu_class) if root else gpus)
        counts = table.counts_if(row, self._room)
        tally = table.tally(row, counts)
        ended: list[_End] = []
        while tally.pods < key.pods or (root and self._free[root] < gpus):
            if not self._ends or (before is not None and self._ends[0][0] >= before):
                for entry in ended:  # it never starts: nobody behind it is to gain from what it looked at
                    self._take(entry[4], -1)
                    self._free[entry[2]] = self._free.get(entry[2], 0) - entry[3]
                    heappush(self._ends, entry)
                return None
            entry = heappop(self._ends)
            ended.append(entry)
            at = max(at, entry[0])
            self._free[entry[2]] = self._free.get(entry[2], 0) + entry[3]
            self._take(entry[4], 1)
            for position, _ in entry[4]:
                fresh = table.pods_in(row, self._room[:, position]) if table.takes_shape(row, position) else 0
                tally.add(position, fresh - int(counts[position]))
                counts[position] = fresh
        placement = table.placement(row, counts, key.pods)
        assert placement is not None, "it fits by now"
        taken = [
            (table.index[name], tuple(pods * each for each in amounts(key.shape.pod)))
            for name, pods in placement.pods_by_node
        ]
        self._take(taken, -1)
        self._free[root] -= gpus
        self._push(at + time_limit_ms * self._share // 1000, root, gpus, taken)
        return at

    def _push(self, at: int, root: str, gpus: int, freed: _Freed) -> None:
        self._pushed += 1
        heappush(self._ends, (at, self._pushed, root, gpus, freed))

    def _take(self, changes: _Freed, sign: int) -> None:
        for position, changed in changes:
            for resource in range(3):
                self._room[resource, position] += sign * changed[resource]
