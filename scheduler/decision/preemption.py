"""Preemption: the smallest set of victims that lets one workload start, by the rules of the design and of Kueue.

Across pools only what is borrowed is taken, within a pool `withinPool` alone decides, and unfunded work falls to any
funded. Victims are taken greedily in the stated order and then put back, the last first, where the preemptor fits
without. Why no two workloads can go on preempting each other: docs/adr/0011-no-preemption-cycles.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from scheduler.decision.booked import Booked
from scheduler.decision.fit_table import Amounts, amounts
from scheduler.decision.index import Index
from scheduler.decision.plan import Victim
from scheduler.decision.queue import Lane, Line
from scheduler.domain.cluster import Placement
from scheduler.domain.policy import BorrowWithinCohort, Pool, ReclaimWithinCohort, WithinPool
from scheduler.domain.units import GpuClassName, Instant, PoolName
from scheduler.domain.workloads import Attempt


class Rule(StrEnum):
    """By which rule an attempt may be preempted; the names of the policy's fields where they decide."""

    UNFUNDED = "unfunded"
    RECLAIM_WITHIN_COHORT = "reclaimWithinCohort"
    BORROW_WITHIN_COHORT = "borrowWithinCohort"
    WITHIN_POOL = "withinPool"


@dataclass(frozen=True, slots=True)
class Found:
    """Victims enough, and where the preemptor goes when they have ended."""

    gpu_class: GpuClassName
    placement: Placement
    victims: tuple[Victim, ...]
    attempts: tuple[Attempt, ...]

    @property
    def gpus(self) -> int:
        return sum(attempt.gpus for attempt in self.attempts)


@dataclass(frozen=True, slots=True)
class _Candidate:
    attempt: Attempt
    rule: Rule
    priority: int


def find_victims(index: Index, booked: Booked, lane: Lane, line: Line, submitted_at: Instant) -> Found | None:
    """Whom to preempt for one workload of the line, or None where nobody may be or nobody needs to be.

    What is stopping already counts as coming free, so that slow victims never lead to a second set.
    """
    for gpu_class in lane.key.gpu_classes:
        for may_reclaim in _modes(index, lane, gpu_class):
            candidates = list(_candidates(index, booked, line, (gpu_class, submitted_at), may_reclaim=may_reclaim))
            if not candidates:
                continue
            search = _Search(index, lane, gpu_class)
            found = search.run(candidates, line)
            if found is not None or search.is_coming:
                return found
    return None


def _modes(index: Index, lane: Lane, gpu_class: GpuClassName) -> Iterator[bool]:
    """First, where its pool stays within its nominal quota, as one that takes back what was lent; then as one that
    may borrow."""
    pool = index.policy.pools[lane.key.pool]
    stays_nominal = index.quotas.over_nominal(pool.name, gpu_class, lane.gpus) <= 0
    if pool.reclaim_within_cohort is not ReclaimWithinCohort.NEVER and stays_nominal:
        yield True
    yield False


def _candidates(
    index: Index, booked: Booked, line: Line, wish: tuple[GpuClassName, Instant], *, may_reclaim: bool
) -> Iterator[_Candidate]:
    """Everybody who may be preempted for the line, in no order."""
    gpu_class, submitted_at = wish
    pool = line.pool
    assert pool is not None, "who stands in a lane has a pool"
    sources: list[tuple[PoolName | None, Rule, int]] = [(None, Rule.UNFUNDED, _ANY)]
    if pool.within_pool is not WithinPool.NEVER:
        sources.append((pool.name, Rule.WITHIN_POOL, line.priority))
    if may_reclaim or pool.borrow_within_cohort is not BorrowWithinCohort.NEVER:
        rule, below = _across(pool, line.priority, may_reclaim=may_reclaim)
        others = index.quotas.pools_of[index.quotas.root_of[pool.name]]
        sources.extend((other, rule, below) for other in others if other != pool.name)
    takes_newer_equals = pool.within_pool is WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY
    for source, rule, below in sources:
        for priority, attempts in index.running.candidates(gpu_class, source):
            is_equal = takes_newer_equals and rule is Rule.WITHIN_POOL and priority == line.priority
            if priority >= below and not is_equal:
                continue
            for attempt in attempts:
                if attempt.id in booked.victims or index.running.protected_until(attempt) > index.now:
                    continue
                if not is_equal or (attempt.submitted_at or 0) > submitted_at:
                    yield _Candidate(attempt, rule, priority)


def _across(pool: Pool, priority: int, *, may_reclaim: bool) -> tuple[Rule, int]:
    """By which rule borrowed work of other pools may be taken, and below which priority."""
    if may_reclaim:
        is_any = pool.reclaim_within_cohort is ReclaimWithinCohort.ANY
        return Rule.RECLAIM_WITHIN_COHORT, _ANY if is_any else priority
    threshold = pool.borrow_threshold
    return Rule.BORROW_WITHIN_COHORT, priority if threshold is None else min(priority, threshold + 1)


class _Search:
    """One look for victims: what would be free, and used of quotas, without those taken so far."""

    def __init__(self, index: Index, lane: Lane, gpu_class: GpuClassName) -> None:
        self._index = index
        self._lane = lane
        self._gpu_class = gpu_class
        self._table = index.capacity.table(gpu_class)
        self._row = self._table.row(lane.key.shape)
        self._room = self._table.coming()
        self._pods = int(self._table.counts_if(self._row, self._room).sum())
        self._given_back: dict[PoolName, int] = {}
        self.is_coming = False
        """Whether what is stopping already is enough."""

    def run(self, candidates: list[_Candidate], line: Line) -> Found | None:
        try:
            for pool in self._index.quotas.pools_of[self._index.quotas.root_of[self._lane.key.pool]]:
                self._give_back(pool, self._index.ending_gpus.get((pool, self._gpu_class), 0))
            self.is_coming = self._fits()
            if self.is_coming or not self._could_fit(candidates):
                return None
            chosen = self._greedy(sorted(candidates, key=self._preference))
            return self._found(self._reduced(chosen), line) if chosen else None
        finally:
            for pool, gpus in self._given_back.items():
                self._index.quotas.use(pool, self._gpu_class, gpus)

    def _fits(self) -> bool:
        key, quotas = self._lane.key, self._index.quotas
        return self._pods >= key.pods and quotas.available(key.pool, self._gpu_class) >= self._lane.gpus

    def _could_fit(self, candidates: list[_Candidate]) -> bool:
        """Whether there would be room if all of them ended; cheap, so that a hopeless search ends here."""
        room = self._room.copy()
        for candidate in candidates:
            for position, freed in self._freed(candidate.attempt):
                room[:, position] += freed
        return int(self._table.counts_if(self._row, room).sum()) >= self._lane.key.pods

    def _greedy(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Take one after the other until the preemptor fits; none where it never does."""
        chosen: list[_Candidate] = []
        for candidate in candidates:
            if not self._is_still_borrowed(candidate):
                continue
            self._take(candidate)
            chosen.append(candidate)
            if self._fits():
                return chosen
        return []

    def _reduced(self, chosen: list[_Candidate]) -> list[_Candidate]:
        """Put back, the last first, whom the preemptor fits without."""
        kept = list(chosen)
        for candidate in reversed(chosen):
            self._take(candidate, -1)
            if self._fits():
                kept.remove(candidate)
            else:
                self._take(candidate)
        return kept

    def _is_still_borrowed(self, candidate: _Candidate) -> bool:
        """Of another pool, only what it uses beyond its nominal quota may be taken."""
        if candidate.rule not in _ACROSS:
            return True
        return self._index.quotas.over_nominal(candidate.attempt.pool, self._gpu_class) > 0

    def _preference(self, candidate: _Candidate) -> tuple[int, int, int, int, int, str]:
        """Whom to take first: unfunded, borrowed, lower class, ahead of pace, least work lost, youngest."""
        attempt, index = candidate.attempt, self._index
        if not attempt.is_funded:
            rank = 0
        else:
            is_borrowed = attempt.is_borrowed and index.quotas.over_nominal(attempt.pool, self._gpu_class) > 0
            rank = 1 if is_borrowed or candidate.rule in _ACROSS else 2
        standing = index.standing_of(attempt.owner)
        lost = index.running.work_lost(attempt, index.now)
        return (rank, candidate.priority, -standing, lost, -attempt.launched_at, attempt.id)

    def _take(self, candidate: _Candidate, sign: int = 1) -> None:
        attempt = candidate.attempt
        for position, freed in self._freed(attempt):
            before = self._pods_at(position)
            for resource in range(3):
                self._room[resource, position] += sign * freed[resource]
            self._pods += self._pods_at(position) - before
        if attempt.is_funded:
            self._give_back(attempt.pool, sign * attempt.gpus)

    def _pods_at(self, position: int) -> int:
        return self._table.pods_at(self._row, position, self._room)

    def _freed(self, attempt: Attempt) -> Iterator[tuple[int, Amounts]]:
        """(node, what ends there) of an attempt, on nodes that are there."""
        gpus, cpu_milli, memory_mib = amounts(attempt.pod)
        for name, pods in attempt.placement.pods_by_node:
            position = self._table.index.get(name)
            if position is not None:
                yield position, (pods * gpus, pods * cpu_milli, pods * memory_mib)

    def _give_back(self, pool: PoolName, gpus: int) -> None:
        if gpus:
            self._given_back[pool] = self._given_back.get(pool, 0) + gpus
            self._index.quotas.use(pool, self._gpu_class, -gpus)

    def _found(self, victims: list[_Candidate], line: Line) -> Found:
        pods = self._lane.key.pods
        placement = self._table.placement(self._table.counts(self._row), pods)
        if placement is None:  # nothing is free now: where the victims are
            placement = self._table.placement(self._table.counts_if(self._row, self._room), pods)
        assert placement is not None, "with the victims gone it fits"
        return Found(
            self._gpu_class,
            placement,
            tuple(_victim(candidate, line) for candidate in victims),
            tuple(candidate.attempt for candidate in victims),
        )


def _victim(candidate: _Candidate, line: Line) -> Victim:
    attempt, preemptor = candidate.attempt, line.spec.priority_class
    if candidate.rule is Rule.UNFUNDED:
        comparison = "funded over unfunded"
    elif candidate.rule is Rule.RECLAIM_WITHIN_COHORT:
        comparison = "reclaims borrowed GPUs"
    elif candidate.priority == line.priority:
        comparison = f"both {preemptor}, submitted earlier"
    else:
        comparison = f"{preemptor} over {attempt.priority_class}"
    return Victim(attempt.id, attempt.workload_id, candidate.rule.value, comparison)


_ANY = 2**62
"""Above every priority."""

_ACROSS = frozenset({Rule.RECLAIM_WITHIN_COHORT, Rule.BORROW_WITHIN_COHORT})
