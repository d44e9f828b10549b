"""All lines, found by key, owner, team, holder of allowances and shape: by whatever a change may concern."""

from collections.abc import Hashable, Iterable
from itertools import chain
from typing import TypeVar

from scheduler.decision.fit_table import Shape
from scheduler.decision.queue import Line, line_key
from scheduler.domain.allowances import Holder, holders_for
from scheduler.domain.policy import Policy
from scheduler.domain.units import EngineerId, PoolName, TeamName, WorkloadId
from scheduler.domain.workloads import Workload

_K = TypeVar("_K", bound=Hashable)

Lines = dict[Line, None]
"""A set of lines that keeps its order, so that the same changes are always looked at in the same order."""


class LineIndex:
    """Queued workloads in their lines."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._by_key: dict[Hashable, Line] = {}
        self._of_workload: dict[WorkloadId, tuple[Line, Workload]] = {}
        self._by_owner: dict[EngineerId, dict[int, Lines]] = {}
        self._by_team: dict[TeamName, dict[int, Lines]] = {}
        self._by_holder: dict[Holder, Lines] = {}
        self._by_pool: dict[PoolName, Lines] = {}
        self.by_shape: dict[tuple[Shape, int], Lines] = {}

    def __contains__(self, workload_id: WorkloadId) -> bool:
        return workload_id in self._of_workload

    def line_of(self, workload_id: WorkloadId) -> Line | None:
        known = self._of_workload.get(workload_id)
        return known[0] if known is not None else None

    def workload(self, workload_id: WorkloadId) -> Workload:
        return self._of_workload[workload_id][1]

    def add(self, workload: Workload) -> tuple[Line, bool]:
        """Stand in line. Returns the line, and whether it is new."""
        key = line_key(workload)
        line = self._by_key.get(key)
        is_new = line is None
        if line is None:
            spec = workload.spec
            pool = self._policy.pool_of_team.get(workload.team)
            priority_class = self._policy.priority_classes.get(spec.priority_class)
            line = Line(key, workload.owner, workload.team, spec, pool, priority_class)
            self._by_key[key] = line
            self._enter(line)
        line.add(workload)
        self._of_workload[workload.id] = (line, workload)
        return line, is_new

    def remove(self, workload_id: WorkloadId) -> Line | None:
        """Leave the line. An empty line is forgotten, once it has left its lane."""
        known = self._of_workload.pop(workload_id, None)
        if known is None:
            return None
        line, workload = known
        line.remove((workload.submitted_at, workload.id))
        if not line.members:
            del self._by_key[line.key]
            self._strike(line)
        return line

    def of_owner(self, owner: EngineerId) -> Iterable[Line]:
        return chain.from_iterable(self._by_owner.get(owner, {}).values())

    def of_holder(self, holder: Holder) -> Iterable[Line]:
        return self._by_holder.get(holder, {})

    def of_pool(self, pool: PoolName) -> Iterable[Line]:
        return self._by_pool.get(pool, {})

    def all(self) -> Iterable[Line]:
        return self._by_key.values()

    def crossing_owner_limit(self, owner: EngineerId, limit: int | None, before: int, after: int) -> Iterable[Line]:
        return _crossing(self._by_owner.get(owner, {}), limit, before, after)

    def crossing_team_limit(self, team: TeamName, limit: int | None, before: int, after: int) -> Iterable[Line]:
        return _crossing(self._by_team.get(team, {}), limit, before, after)

    def _enter(self, line: Line) -> None:
        gpus = line.spec.gpus
        self._by_owner.setdefault(line.owner, {}).setdefault(gpus, {})[line] = None
        self._by_team.setdefault(line.team, {}).setdefault(gpus, {})[line] = None
        for holder in holders_for(line.owner, line.team, line.spec.project):
            self._by_holder.setdefault(holder, {})[line] = None
        if line.pool is not None:
            self._by_pool.setdefault(line.pool.name, {})[line] = None
        self.by_shape.setdefault((line.shape, line.spec.pods), {})[line] = None

    def _strike(self, line: Line) -> None:
        gpus = line.spec.gpus
        _strike_nested(self._by_owner, line.owner, gpus, line)
        _strike_nested(self._by_team, line.team, gpus, line)
        for holder in holders_for(line.owner, line.team, line.spec.project):
            _strike(self._by_holder, holder, line)
        if line.pool is not None:
            _strike(self._by_pool, line.pool.name, line)
        _strike(self.by_shape, (line.shape, line.spec.pods), line)


def _strike(index: dict[_K, Lines], key: _K, line: Line) -> None:
    del index[key][line]
    if not index[key]:
        del index[key]


def _strike_nested(index: dict[_K, dict[int, Lines]], key: _K, gpus: int, line: Line) -> None:
    _strike(index[key], gpus, line)
    if not index[key]:
        del index[key]


def _crossing(by_gpus: dict[int, Lines], limit: int | None, before: int, after: int) -> Iterable[Line]:
    """Lines for which a limit on GPUs began or ceased to matter as use went from `before` to `after`."""
    if limit is None or before == after:
        return []
    crossing = [lines for gpus, lines in by_gpus.items() if (before + gpus <= limit) is not (after + gpus <= limit)]
    return chain.from_iterable(crossing)
