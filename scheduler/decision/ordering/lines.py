"""All lines, found by whatever a change may concern: owner, team, holder of allowances, pool, shape."""

from collections.abc import Hashable, Iterable, Iterator
from typing import TypeVar

from scheduler.decision.ordering.queue import Line, Member, OrderKey, Party, asked, line_key
from scheduler.decision.placing.shape import Shape
from scheduler.domain.allowances import Holder, HolderKind, holders_for
from scheduler.domain.arrays import array_of
from scheduler.domain.policy import Policy
from scheduler.domain.units import EngineerId, PoolName, ProjectName, TeamName, WorkloadId
from scheduler.domain.workloads import Workload, WorkloadSpec

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")

Lines = dict[Line, None]
"""A set of lines that keeps its order, so that the same changes are always looked at in the same order."""


class LineIndex:
    """Queued workloads in their lines."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._by_key: dict[Hashable, Line] = {}
        self._of_workload: dict[WorkloadId, tuple[Line, Member]] = {}
        self._parties: dict[tuple[EngineerId, TeamName, ProjectName | None], Party] = {}
        self._by_owner: dict[EngineerId, dict[Party, None]] = {}
        self._by_team: dict[TeamName, dict[Party, None]] = {}
        self._by_holder: dict[Holder, dict[Party, None]] = {}
        self._by_array: dict[WorkloadId, Lines] = {}
        self._by_pool: dict[PoolName, Lines] = {}
        self._shapes: dict[Hashable, Shape] = {}
        self.by_shape: dict[tuple[Shape, int], Lines] = {}

    def line_of(self, workload_id: WorkloadId) -> Line | None:
        known = self._of_workload.get(workload_id)
        return known[0] if known is not None else None

    def place_of(self, workload_id: WorkloadId) -> OrderKey | None:
        """Where a workload stands in its pool."""
        known = self._of_workload.get(workload_id)
        return (known[0].rank, known[0].standing, *known[1]) if known is not None else None

    def add(self, workload: Workload, *, is_aged: bool) -> tuple[Line, bool]:
        """Stand in line. Returns the line, and whether it is new."""
        key = (is_aged, line_key(workload, self.shape(workload.spec)))
        line = self._by_key.get(key)
        is_new = line is None
        if line is None:
            line = self._by_key[key] = self._new_line(key, workload, is_aged=is_aged)
        member = _member(workload, is_aged=is_aged)
        line.add(member)
        self._of_workload[workload.id] = (line, member)
        return line, is_new

    def remove(self, workload_id: WorkloadId) -> Line | None:
        """Leave the line. An empty line is forgotten, once it has left its lane."""
        known = self._of_workload.pop(workload_id, None)
        if known is None:
            return None
        line, member = known
        line.remove(member)
        if not line.members:
            self._forget_line(line)
        return line

    def has_any(self, owner: EngineerId) -> bool:
        """Whether anything of theirs stands in line."""
        return owner in self._by_owner

    def of_owner(self, owner: EngineerId) -> Iterator[Line]:
        for party in self._by_owner.get(owner, ()):
            for lines in party.lines.values():
                yield from lines

    def of_holder(self, holder: Holder) -> Iterator[Line]:
        """Lines of an engineer or a team, whoever pays."""
        is_engineer = holder.kind is HolderKind.ENGINEER
        by_owner, by_team = self._by_owner.get(EngineerId(holder.id), ()), self._by_team.get(TeamName(holder.id), ())
        for party in by_owner if is_engineer else by_team:
            for lines in party.lines.values():
                yield from lines

    def parties_of_holder(self, holder: Holder) -> Iterable[Party]:
        return self._by_holder.get(holder, ())

    def of_pool(self, pool: PoolName) -> Iterable[Line]:
        return self._by_pool.get(pool, ())

    def of_array(self, array: WorkloadId) -> Iterable[Line]:
        return self._by_array.get(array, ())

    def all(self) -> Iterable[Line]:
        return self._by_key.values()

    def crossing_owner_limit(self, owner: EngineerId, limit: int | None, before: int, after: int) -> Lines:
        return _crossing(self._by_owner.get(owner, ()), limit, before, after)

    def crossing_team_limit(self, team: TeamName, limit: int, before: int, after: int) -> Lines:
        return _crossing(self._by_team.get(team, ()), limit, before, after)

    def detached(self, workload: Workload, *, is_aged: bool) -> Line:
        """The line that a workload would stand in if it stood alone. Nobody finds it here."""
        owed = (workload.owner, workload.team, workload.spec.project)
        party = self._parties.get(owed) or Party(workload.owner, workload.team, holders_for(*owed))
        line = self._made((), party, workload, is_aged=is_aged)
        line.members.append(_member(workload, is_aged=is_aged))
        return line

    def _made(self, key: Hashable, party: Party, workload: Workload, *, is_aged: bool) -> Line:
        spec = workload.spec.at_minimum
        pool = self._policy.pool_of_team.get(workload.team)
        priority_class = self._policy.priority_classes.get(spec.priority_class)
        return Line(
            key,
            party,
            spec,
            self.shape(spec),
            pool,
            priority_class,
            priority_class.value if priority_class is not None else 0,
            spec.gpus,
            array=array_of(workload.id) if spec.array is not None else None,
            is_aged=is_aged,
            pods_max=workload.spec.pods,
            importance=self._policy.importance(spec.project),
        )

    def shape(self, spec: WorkloadSpec) -> Shape:
        """The one that everything has which asks for the same."""
        key = asked(spec)
        known = self._shapes.get(key)
        if known is None:
            known = self._shapes[key] = Shape(*key)
        return known

    def _new_line(self, key: Hashable, workload: Workload, *, is_aged: bool) -> Line:
        line = self._made(key, self._party(workload), workload, is_aged=is_aged)
        pool = line.pool
        _enter(line.party.lines, line.gpus, line)
        if line.array is not None:
            _enter(self._by_array, line.array, line)
        if pool is not None:
            _enter(self._by_pool, pool.name, line)
        _enter(self.by_shape, (line.shape, line.spec.pods), line)
        return line

    def _forget_line(self, line: Line) -> None:
        del self._by_key[line.key]
        party = line.party
        _strike(party.lines, line.gpus, line)
        if line.array is not None:
            _strike(self._by_array, line.array, line)
        if line.pool is not None:
            _strike(self._by_pool, line.pool.name, line)
        _strike(self.by_shape, (line.shape, line.spec.pods), line)
        if not party.lines:
            del self._parties[party.owner, party.team, line.spec.project]
            _strike(self._by_owner, party.owner, party)
            _strike(self._by_team, party.team, party)
            for holder in party.holders:
                _strike(self._by_holder, holder, party)

    def _party(self, workload: Workload) -> Party:
        key = (workload.owner, workload.team, workload.spec.project)
        party = self._parties.get(key)
        if party is None:
            party = self._parties[key] = Party(workload.owner, workload.team, holders_for(*key))
            _enter(self._by_owner, party.owner, party)
            _enter(self._by_team, party.team, party)
            for holder in party.holders:
                _enter(self._by_holder, holder, party)
        return party


def _member(workload: Workload, *, is_aged: bool) -> Member:
    """Its place in a line, by its age. What is aged goes by since when it grew old: else who waited as long beside more of
    their own would go before everybody else."""
    since = workload.grows_old_from if is_aged else None
    return (workload.waits_since if since is None else since, workload.id)


def _enter(index: dict[_K, dict[_V, None]], key: _K, value: _V) -> None:
    known = index.get(key)
    if known is None:
        index[key] = {value: None}
    else:
        known[value] = None


def _strike(index: dict[_K, dict[_V, None]], key: _K, value: _V) -> None:
    del index[key][value]
    if not index[key]:
        del index[key]


def _crossing(parties: Iterable[Party], limit: int | None, before: int, after: int) -> Lines:
    """Lines for which a limit on GPUs began or ceased to matter as use went from `before` to `after`."""
    crossing: Lines = {}
    if limit is not None and before != after:
        for party in parties:
            for gpus, lines in party.lines.items():
                if (before + gpus <= limit) is not (after + gpus <= limit):
                    crossing.update(lines)
    return crossing
