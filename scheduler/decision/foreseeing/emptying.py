"""One GPU class as it empties, for forecasts: what runs ends, what waits starts in order, each as early as it fits."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from scheduler.decision.index import Index
from scheduler.decision.limits.concurrency import Counter, uses
from scheduler.decision.ordering.queue import LaneKey, Line
from scheduler.decision.placing.fit_table import FitTable, IntArray
from scheduler.decision.placing.shape import amounts
from scheduler.domain.arrays import array_of
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.units import MS_PER_SECOND, GpuClassName, Instant, PerMille, PoolName, WorkloadId
from scheduler.domain.workloads import Attempt, Workload

Freed = list[tuple[int, tuple[int, ...]]]
"""(node, what becomes free there), for each node."""
Used = Mapping[Counter, int]
"""How much of what is counted: of a tree's quota, and of the limits that whoever is asked about is under."""
_End = tuple[int, int, Used, Freed]
"""When, a number that tells equals apart, and what is given back."""


class Waiter(NamedTuple):
    """What somebody who waits wants, their time limit, what they would use of whatever is counted, and what is left."""

    key: LaneKey
    time_limit_ms: int
    used: Used
    left: Used


class Leaving(NamedTuple):
    """What runs: how long at most, and what it gives back."""

    lasts_ms: int
    used: Used
    freed: Freed


@dataclass(frozen=True, slots=True)
class Others:
    """Who may take the same GPUs, in order: those served before it, those after, and those before it that wait, as it does,
    for the hours of their class or at the same limit."""

    ahead: list[Waiter] = field(default_factory=list)
    behind: list[Waiter] = field(default_factory=list)
    alike: list[Waiter] = field(default_factory=list)


def waiter(index: Index, line: Line, key: LaneKey, gpu_class: GpuClassName, limits: Used) -> Waiter:
    """One of a line. `limits` are those that count."""
    used = {name: by for name, by in uses(line.owner, line.team, line.array, line.gpus).items() if name in limits}
    left = {name: limits[name] for name in used}
    if key.is_funded:
        quota = _quota(index, key.pool)
        used[quota], left[quota] = line.gpus, index.quotas.available(key.pool, gpu_class)
    return Waiter(key, line.spec.time_limit_ms, used, left)


def leaving(index: Index, gpu_class: GpuClassName, limits: Collection[Counter]) -> Iterator[Leaving]:
    """What runs on the class, and on others what counts against these limits. What is being stopped has given back its room
    and its quota already, and counts for its owner until it has ended; whoever starts in its stead has them already."""
    table = index.capacity.table(gpu_class)
    for attempt in index.running.attempts.values():
        used = _counted(attempt, attempt.workload_id, attempt.gpus, limits)
        is_here = attempt.gpu_class == gpu_class and attempt.stopping_since is None
        if is_here and attempt.is_funded:
            used[_quota(index, attempt.pool)] = attempt.gpus
        if is_here or used:
            freed = _on_nodes(table, attempt.placement, attempt.pod) if is_here else []
            yield Leaving(max(0, ends_at(attempt) - index.now), used, freed)
    for workload, reservation in index.claims.of.values():
        pool, pod = index.policy.pool_of_team.get(workload.team), workload.spec.pod
        if pool is not None and reservation.gpu_class == gpu_class and not reservation.is_move:
            gpus = reservation.pods * pod.gpus
            used = _counted(workload, workload.id, gpus, limits) | {_quota(index, pool.name): gpus}
            yield Leaving(workload.spec.time_limit_ms, used, _on_nodes(table, reservation.placement, pod))


def ends_at(attempt: Attempt) -> int:
    """At the latest."""
    if attempt.stopping_since is not None:
        return attempt.stopping_since + attempt.grace_seconds * MS_PER_SECOND
    since = attempt.started_at if attempt.started_at is not None else attempt.launched_at
    return since + attempt.time_limit_ms


def _quota(index: Index, pool: PoolName) -> Counter:
    return ("quota", index.quotas.root_of.get(pool, ""))


def _counted(
    of: Attempt | Workload, workload_id: WorkloadId, gpus: int, limits: Collection[Counter]
) -> dict[Counter, int]:
    """What it uses of these limits."""
    if not limits:
        return {}
    used = uses(of.owner, of.team, array_of(workload_id), gpus)
    return {name: by for name, by in used.items() if name in limits}


def _on_nodes(table: FitTable, placement: Placement, pod: PodRequest) -> Freed:
    """What pods take of the nodes that are known."""
    each = amounts(pod)
    known = ((table.index.get(name), pods) for name, pods in placement.pods_by_node)
    return [(position, tuple(pods * amount for amount in each)) for position, pods in known if position is not None]


class Emptying:
    """`share` of every time limit is used. What is asked about starts no earlier than `since`."""

    def __init__(
        self,
        index: Index,
        gpu_class: GpuClassName,
        share: PerMille,
        running: Sequence[Leaving],
        since: Instant | None,
    ) -> None:
        self._now = index.now
        self._since = since
        self._share = share
        self._table = index.capacity.table(gpu_class)
        self._room: IntArray = self._table.coming()
        self._taken: dict[Counter, int] = defaultdict(int)
        """What more is used than now; negative where less is."""
        self._ends: list[_End] = [
            (self._now + each.lasts_ms * share // 1000, number, each.used, each.freed)
            for number, each in enumerate(running)
        ]
        heapify(self._ends)
        self._pushed = len(self._ends)

    def start_of(self, others: Others, mine: Waiter) -> Instant | None:
        """When it starts, once those ahead have; if it may only later, those behind who have started by then are before it,
        too."""
        at = self._start_all(self._now, others.ahead)
        if self._since is not None:
            for behind in others.behind:
                self._start(at, behind, self._since)
            at = max(at, self._since)
        started = self._start(self._start_all(at, others.alike), mine)
        return Instant(started) if started is not None else None

    def _start_all(self, at: int, each: list[Waiter]) -> int:
        """Nobody of them before those ahead of them. Returns when the last that starts at all does."""
        for other in each:
            started = self._start(at, other)
            at = started if started is not None else at
        return at

    def _start(self, at: int, waiter: Waiter, before: int | None = None) -> int | None:
        """Take the earliest room from `at` on; None where what is known to end makes none, or none before that instant."""
        table, key = self._table, waiter.key
        row = table.row(key.shape)
        counts = table.counts_if(row, self._room)
        tally = table.tally(row, counts)
        ended: list[_End] = []
        while tally.pods < key.pods or self._is_over(waiter):
            if not self._ends or (before is not None and self._ends[0][0] >= before):
                for end in ended:  # it never starts: nobody behind it is to gain from what it looked at
                    self._change(end[2], end[3], -1)
                    heappush(self._ends, end)
                return None
            end = heappop(self._ends)
            ended.append(end)
            at = max(at, end[0])
            self._change(end[2], end[3], 1)
            for position, _ in end[3]:
                fresh = table.pods_in(row, self._room[:, position]) if table.takes_shape(row, position) else 0
                tally.add(position, fresh - int(counts[position]))
                counts[position] = fresh
        placement = table.placement(row, counts, key.pods)
        assert placement is not None, "it fits by now"
        freed = _on_nodes(table, placement, key.shape.pod)
        self._change(waiter.used, freed, -1)
        self._pushed += 1
        heappush(self._ends, (at + waiter.time_limit_ms * self._share // 1000, self._pushed, waiter.used, freed))
        return at

    def _is_over(self, waiter: Waiter) -> bool:
        return any(self._taken[name] + by > waiter.left[name] for name, by in waiter.used.items())

    def _change(self, used: Used, freed: Freed, sign: int) -> None:
        """Give back, or take with -1."""
        for name, by in used.items():
            self._taken[name] -= sign * by
        for position, changed in freed:
            for resource in range(3):
                self._room[resource, position] += sign * changed[resource]
