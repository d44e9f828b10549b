"""Preemption: the smallest set of victims that lets one workload start.

Victims are taken greedily in the stated order and then put back, the last first, where the preemptor fits without.
Why no two workloads can go on preempting each other: docs/adr/0011-no-preemption-cycles.md.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from scheduler.decision.booked import Booked
from scheduler.decision.fit_table import Amounts, FitTable, IntArray, Shape, amounts
from scheduler.decision.index import Index
from scheduler.decision.plan import Victim
from scheduler.decision.queue import Lane, Line
from scheduler.decision.running import Bucket
from scheduler.decision.victims import Preemptor, Rule
from scheduler.domain.cluster import Placement
from scheduler.domain.units import AttemptId, GpuClassName, Instant, PoolName
from scheduler.domain.workloads import Attempt


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


def find_victims(outlook: "Outlook", booked: Booked, lane: Lane, line: Line, submitted_at: Instant) -> Found | None:
    """Whom to preempt for one workload of the line, or None where nobody may be or nobody needs to be.

    What is stopping already counts as coming free, so that slow victims never lead to a second set.
    """
    index = outlook.index
    for gpu_class, rule_across in _ways(index, lane):
        preemptor = _preemptor(index, lane, gpu_class)
        candidates = (
            _Candidate(attempt, rule, bucket.priority)
            for rule, bucket in preemptor.sources(index.running, index.quotas, rule_across)
            for attempt in bucket.attempts.values()
            if attempt.id not in booked.victims
            and (rule is not Rule.WITHIN_POOL or _is_fair_game(index, line, bucket, attempt, submitted_at))
        )
        first = next(candidates, None)
        if first is None:
            continue
        search = _Search(outlook, lane, gpu_class)
        # The other candidates are looked for only where somebody must go: mostly, enough is stopping already.
        if search.is_coming():
            return None
        found = search.run([first, *candidates], line)
        if found is not None:
            return found
    return None


def _ways(index: Index, lane: Lane) -> Iterator[tuple[GpuClassName, Rule]]:
    """By GPU class: first, where its pool stays within its nominal quota, as one that takes back what was lent; then
    as one that may borrow."""
    for gpu_class in lane.key.gpu_classes:
        if index.quotas.over_nominal(lane.key.pool, gpu_class, lane.gpus) <= 0:
            yield gpu_class, Rule.RECLAIM_WITHIN_COHORT
        yield gpu_class, Rule.BORROW_WITHIN_COHORT


def _preemptor(index: Index, lane: Lane, gpu_class: GpuClassName) -> Preemptor:
    return Preemptor(index.policy.pools[lane.key.pool], gpu_class, lane.key.priority)


def _is_fair_game(index: Index, line: Line, bucket: Bucket, attempt: Attempt, submitted_at: Instant) -> bool:
    """Of its own pool, a workload may take what has not waited too long for it; of its own priority, only what was
    submitted after it."""
    theirs = attempt.submitted_at
    if theirs is None:
        return bucket.priority != line.priority
    if bucket.priority == line.priority and theirs <= submitted_at:
        return False
    return not index.is_aged(line.pool, theirs, attempt.launched_at)


_Cost = tuple[int, int, int, AttemptId]
"""What is lost by stopping an attempt."""


class Outlook:
    """How much room there would be if everybody who may be preempted were: what a hopeless search is spared by.

    It holds for one snapshot; what one workload of a pool and priority finds is the same for the next.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._costs: dict[AttemptId, _Cost] = {}
        self._rooms: dict[_Way, IntArray | None] = {}
        self._pods: dict[tuple[_Way, Shape], int] = {}

    def is_hopeful(self, lane: Lane) -> bool:
        """Whether there may be victims for a workload of the lane; if not, there are none."""
        return any(
            self._pods_if_all_ended(lane, gpu_class, rule) >= lane.key.pods
            for gpu_class, rule in _ways(self.index, lane)
        )

    def cost(self, attempt: Attempt) -> _Cost:
        """What is lost by stopping it, the smaller the sooner taken: ahead of pace, least work lost, youngest."""
        cost = self._costs.get(attempt.id)
        if cost is None:
            place = self.index.place_of_victim(attempt)
            lost = self.index.running.work_lost(attempt, self.index.now)
            cost = self._costs[attempt.id] = (-place, lost, -attempt.launched_at, attempt.id)
        return cost

    def _pods_if_all_ended(self, lane: Lane, gpu_class: GpuClassName, rule: Rule) -> int:
        way = (lane.key.pool, lane.key.priority, gpu_class, rule)
        pods = self._pods.get((way, lane.key.shape))
        if pods is None:
            if way not in self._rooms:
                self._rooms[way] = self._room(_preemptor(self.index, lane, gpu_class), rule)
            room = self._rooms[way]
            table = self.index.capacity.table(gpu_class)
            pods = int(table.counts_if(table.row(lane.key.shape), room).sum()) if room is not None else 0
            self._pods[way, lane.key.shape] = pods
        return pods

    def _room(self, preemptor: Preemptor, rule: Rule) -> IntArray | None:
        """What would be available on each node; None where there is nobody to preempt."""
        index = self.index
        attempts = [
            attempt
            for _, bucket in preemptor.sources(index.running, index.quotas, rule)
            for attempt in bucket.attempts.values()
        ]
        return _room_without(index.capacity.table(preemptor.gpu_class), attempts) if attempts else None


_Way = tuple[PoolName, int, GpuClassName, Rule]
"""A pool, a priority, the class that it looks in, and the rule for other pools."""


def _room_without(table: FitTable, attempts: Iterable[Attempt]) -> IntArray:
    room = table.coming()
    freed = [entry for attempt in attempts for entry in _freed(table, attempt)]
    positions = [position for position, _ in freed]
    np.add.at(room.T, positions, np.array([each for _, each in freed], dtype=np.int64).reshape(-1, 3))
    return room


def _freed(table: FitTable, attempt: Attempt) -> Iterator[tuple[int, Amounts]]:
    """(node, what ends there) of an attempt, on nodes that are there."""
    gpus, cpu_milli, memory_mib = amounts(attempt.pod)
    for name, pods in attempt.placement.pods_by_node:
        position = table.index.get(name)
        if position is not None:
            yield position, (pods * gpus, pods * cpu_milli, pods * memory_mib)


class _Search:
    """One look for victims: what would be free, and used of quotas, without those taken so far."""

    def __init__(self, outlook: Outlook, lane: Lane, gpu_class: GpuClassName) -> None:
        self._outlook = outlook
        self._index = index = outlook.index
        self._lane = lane
        self._gpu_class = gpu_class
        self._table = index.capacity.table(gpu_class)
        self._row = self._table.row(lane.key.shape)
        self._room = self._table.coming()
        self._pods = int(self._table.counts_if(self._row, self._room).sum())
        self._given_back: dict[PoolName, int] = {}

    def is_coming(self) -> bool:
        """Whether what is stopping already is enough."""
        with self._quotas_restored():
            return self._fits()

    def run(self, candidates: list[_Candidate], line: Line) -> Found | None:
        if not self._could_fit(candidates):
            return None
        with self._quotas_restored():
            chosen = self._greedy(sorted(candidates, key=self._preference))
            return self._found(self._reduced(chosen), line) if chosen else None

    @contextmanager
    def _quotas_restored(self) -> Iterator[None]:
        """What is stopping has given back its quota meanwhile, and so has whoever is taken; afterwards nobody has."""
        quotas = self._index.quotas
        try:
            for pool in quotas.pools_of[quotas.root_of[self._lane.key.pool]]:
                self._give_back(pool, self._index.ending_gpus.get((pool, self._gpu_class), 0))
            yield
        finally:
            for pool, gpus in self._given_back.items():
                quotas.use(pool, self._gpu_class, gpus)
            self._given_back.clear()

    def _fits(self) -> bool:
        key, quotas = self._lane.key, self._index.quotas
        return self._pods >= key.pods and quotas.available(key.pool, self._gpu_class) >= self._lane.gpus

    def _could_fit(self, candidates: list[_Candidate]) -> bool:
        """Whether there would be room if all of them ended; cheap, so that a hopeless search ends here."""
        room = _room_without(self._table, [candidate.attempt for candidate in candidates])
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
        if not candidate.rule.is_across:
            return True
        return self._index.quotas.over_nominal(candidate.attempt.pool, self._gpu_class) > 0

    def _preference(self, candidate: _Candidate) -> tuple[int, int, _Cost]:
        """Whom to take first: unfunded, borrowed, lower class, ahead of pace, least work lost, youngest."""
        attempt, index = candidate.attempt, self._index
        is_over = attempt.is_funded and index.quotas.over_nominal(attempt.pool, self._gpu_class) > 0
        if not attempt.is_funded:
            rank = 0
        elif is_over and attempt.is_borrowed:
            rank = 1
        else:  # of a pool that borrows, what it launched within its nominal quota comes after what it borrowed
            rank = 2 if candidate.rule.is_across else 3
        return (rank, candidate.priority, self._outlook.cost(attempt))

    def _take(self, candidate: _Candidate, sign: int = 1) -> None:
        attempt = candidate.attempt
        for position, freed in _freed(self._table, attempt):
            before = self._pods_at(position)
            for resource in range(3):
                self._room[resource, position] += sign * freed[resource]
            self._pods += self._pods_at(position) - before
        if attempt.is_funded:
            self._give_back(attempt.pool, sign * attempt.gpus)

    def _pods_at(self, position: int) -> int:
        return self._table.pods_at(self._row, position, self._room)

    def _give_back(self, pool: PoolName, gpus: int) -> None:
        if gpus:
            self._given_back[pool] = self._given_back.get(pool, 0) + gpus
            self._index.quotas.use(pool, self._gpu_class, -gpus)

    def _found(self, victims: list[_Candidate], line: Line) -> Found:
        pods = self._lane.key.pods
        placement = self._table.placement(self._row, self._table.counts(self._row), pods)
        if placement is None:  # nothing is free now: where the victims are
            placement = self._table.placement(self._row, self._table.counts_if(self._row, self._room), pods)
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
