"""The outlook for preemption: how much room there would be if everybody were stopped who may be."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import Lane
from scheduler.decision.placing.fit_table import FitTable, IntArray
from scheduler.decision.placing.running import Bucket
from scheduler.decision.placing.shape import Shape
from scheduler.decision.preempting.rules import Preemptor, Rule, Way
from scheduler.domain.policy import ReclaimWithinCohort
from scheduler.domain.units import AttemptId, GpuClassName, PoolName
from scheduler.domain.workloads import Attempt

Cost = tuple[int, int, int, AttemptId]
"""What is lost by stopping an attempt, the smaller the sooner it is taken."""

_Way = tuple[PoolName, int, GpuClassName, int | None]
"""A pool, a priority, the class that it looks in, and below which priority it takes from other pools."""


@dataclass(frozen=True, slots=True)
class _Borrowed:
    """What the borrowing pools of a tree would free on each node, together and each."""

    together: IntArray
    by_pool: dict[PoolName, IntArray]


@dataclass(frozen=True, slots=True)
class _Reach:
    """Whom a preemptor may take: below which priority of other pools, and how many GPUs of quota that gives back."""

    preemptor: Preemptor
    below: int | None
    gpus: int
    pods: dict[Shape, int] = field(default_factory=dict)
    """That would fit if all of them ended, as far as it was asked."""


class Outlook:
    """Tells which searches for victims are hopeless, so that they are not made.

    It is of the snapshot, before this cycle books anything: what one workload of a pool and priority finds is the
    same for the next, whoever asks first. So whoever is going to ask while the cycle books is named before (`expect`).
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._borrowers = index.quotas.borrowers()
        self._cohorts_over = index.quotas.cohorts_over()
        self._coming: dict[GpuClassName, IntArray] = {}
        self._ending: dict[tuple[str, GpuClassName], tuple[tuple[PoolName, int], ...]] = {}
        self._returning: dict[tuple[PoolName, GpuClassName], int] = {}
        self._costs: dict[AttemptId, Cost] = {}
        self._cheapest_first: dict[tuple[Bucket, bool, bool], list[Attempt]] = {}
        """By bucket, whether on borrowed quota, and whether to shrink."""
        self._rooms: dict[_Way, IntArray | None] = {}
        self._reaches: dict[tuple[PoolName, int, GpuClassName, bool], _Reach] = {}
        """By whether it may take back what was lent."""
        self._own: dict[tuple[PoolName, int, GpuClassName], int] = {}
        """GPUs that may be taken of its own pool, by priority."""
        self._borrowed: dict[tuple[str, GpuClassName, int], _Borrowed] = {}

    def expect(self, gpu_classes: Iterable[GpuClassName]) -> None:
        """Somebody may ask for these: what comes free of them is looked at now."""
        for gpu_class in gpu_classes:
            self._come(gpu_class)

    def ways(self, lane: Lane, priority: int, gpu_class: GpuClassName) -> Iterator[Way]:
        """How work of the lane may look for victims on a class: first, where its pool or a cohort of it stays within its
        own quota, as one that takes back what was lent; then as one that may borrow; then as one whose own pool makes
        room for it beside that."""
        if self.index.quotas.may_reclaim(lane.key.pool, gpu_class, lane.gpus):
            yield Way.TAKES_BACK
        yield Way.MAY_BORROW
        if self._may_end_within(lane, priority, gpu_class):
            yield Way.ENDS_WITHIN

    def is_hopeful(self, lane: Lane, priority: int) -> bool:
        """Whether there may be victims for a workload of the lane and that priority; if not, there are none, nor are
        there for a lower one."""
        pool, gpu_classes, shape, pods = lane.key[:4]
        for gpu_class in gpu_classes:
            takes_back = self.index.quotas.may_reclaim(pool, gpu_class, lane.gpus)
            takes_back = takes_back or self._may_end_within(lane, priority, gpu_class)
            key = (pool, priority, gpu_class, takes_back)
            reach = self._reaches.get(key)
            if reach is None:
                preemptor = preemptor_of(self.index, lane, priority, gpu_class)
                reach = self._reaches[key] = self._reach(preemptor, takes_back=takes_back)
            if reach.gpus >= self.lacks_of_quota(lane, gpu_class) and self._pods_within(reach, shape) >= pods:
                return True
        return False

    def lacks_of_quota(self, lane: Lane, gpu_class: GpuClassName) -> int:
        """GPUs of quota that its next workload lacks, beside what is coming back: of whom it takes as many must come."""
        own = lane.key.pool
        return lane.gpus - self.index.quotas.available(own, gpu_class) - self.returning(own, gpu_class)

    def returning(self, pool: PoolName, gpu_class: GpuClassName) -> int:
        """GPUs of quota that are coming back to the pool's tree, whoever had them."""
        returning = self._returning.get((pool, gpu_class))
        if returning is None:
            ending = self.ending(self.index.quotas.root_of[pool], gpu_class)
            returning = self._returning[pool, gpu_class] = sum(gpus for _, gpus in ending)
        return returning

    def _may_end_within(self, lane: Lane, priority: int, gpu_class: GpuClassName) -> bool:
        """Whether its pool, which is below its nominal quota and would be above it, may not be once all of its own victims
        are gone; only then may it take back what is lent beside them."""
        quotas, own = self.index.quotas, lane.key.pool
        nominal, above = quotas.nominal(own, gpu_class), quotas.over_nominal(own, gpu_class, lane.gpus)
        if above <= 0 or lane.gpus > nominal or quotas.used(own, gpu_class) >= nominal:
            return False
        if self.index.policy.pools[own].reclaim_within_cohort is ReclaimWithinCohort.NEVER:
            return False
        key = (own, priority, gpu_class)
        most = self._own.get(key)
        if most is None:
            preemptor = preemptor_of(self.index, lane, priority, gpu_class)
            buckets = (
                bucket for rule, bucket in preemptor.sources_within(self.index.running) if rule is not Rule.UNFUNDED
            )
            most = self._own[key] = sum(bucket.gpus for bucket in buckets)
        return most >= above

    def had_borrowed(self, lender: PoolName, pool: PoolName, gpu_class: GpuClassName) -> bool:
        """Whether a pool had borrowed of what it shares with the lender: what this cycle starts of it makes nobody a victim
        who ran before."""
        apart = self.index.quotas.cohorts_apart(pool, lender)
        over = all((cohort, gpu_class) in self._cohorts_over for cohort in apart)
        return (pool, gpu_class) in self._borrowers and over

    def ending(self, root: str, gpu_class: GpuClassName) -> tuple[tuple[PoolName, int], ...]:
        """The pools of a tree whose quota is coming back, and how many GPUs of it."""
        known = self._ending.get((root, gpu_class))
        if known is None:
            ending = (
                (pool, self.index.ending_gpus.get((pool, gpu_class), 0)) for pool in self.index.quotas.pools_of[root]
            )
            known = self._ending[root, gpu_class] = tuple((pool, gpus) for pool, gpus in ending if gpus)
        return known

    def cost(self, attempt: Attempt) -> Cost:
        """Least for whose owner is ahead of pace, then who loses least work, then the youngest."""
        cost = self._costs.get(attempt.id)
        if cost is None:
            place = self.index.place_of_victim(attempt)
            lost = self.index.running.work_lost(attempt, self.index.now)
            cost = self._costs[attempt.id] = (-place, lost, -attempt.launched_at, attempt.id)
        return cost

    def cheapest_first(self, bucket: Bucket, *, is_borrowed: bool, is_shrinking: bool) -> Iterator[Attempt]:
        """Those of a bucket that may be stopped, or that may shrink, and that were launched on borrowed quota, or were not.

        As the snapshot has them, whatever this cycle has taken of them; sorted once for all who look for victims.
        """
        key = (bucket, is_borrowed, is_shrinking)
        known = self._cheapest_first.get(key)
        if known is None:
            attempts = (bucket.elastic if is_shrinking else bucket.attempts).values()
            alike = (attempt for attempt in attempts if attempt.is_borrowed is is_borrowed)
            known = self._cheapest_first[key] = sorted(alike, key=self.cost)
        return iter(known)

    def _reach(self, preemptor: Preemptor, *, takes_back: bool) -> _Reach:
        # Of two rules, the one that reaches higher takes all that the other does.
        rules = (Rule.RECLAIM_WITHIN_COHORT, Rule.BORROW_WITHIN_COHORT)[0 if takes_back else 1 :]
        reaches = (preemptor.takes_across_below(rule) for rule in rules)
        below = max((each for each in reaches if each is not None), default=None)
        within = (bucket for _, bucket in preemptor.sources_within(self.index.running) if bucket.pool is not None)
        gpus = sum([bucket.gpus for bucket in chain(within, self._buckets_across(preemptor, below))])
        return _Reach(preemptor, below, gpus)

    def _buckets_across(self, preemptor: Preemptor, below: int | None) -> Iterator[Bucket]:
        """What may be taken of the other pools of its tree that borrow."""
        own, gpu_class = preemptor.pool.name, preemptor.gpu_class
        if below is not None:
            for pool in self.index.quotas.pools_of[self.index.quotas.root_of[own]]:
                if pool != own and (pool, gpu_class) in self._borrowers:
                    yield from self.index.running.buckets_below(gpu_class, pool, below)

    def _pods_within(self, reach: _Reach, shape: Shape) -> int:
        """Pods of a shape that would fit if all of them ended."""
        known = reach.pods.get(shape)
        if known is None:
            known = reach.pods[shape] = self._pods_if_all_ended(reach.preemptor, shape, reach.below)
        return known

    def _pods_if_all_ended(self, preemptor: Preemptor, shape: Shape, below: int | None) -> int:
        way = (preemptor.pool.name, preemptor.priority, preemptor.gpu_class, below)
        if way not in self._rooms:
            self._rooms[way] = self._room(preemptor, below)
        room = self._rooms[way]
        if room is None:
            return 0
        table = self.index.capacity.table(preemptor.gpu_class)
        row = table.row(shape)
        return table.together(row, table.counts_if(row, room))

    def _come(self, gpu_class: GpuClassName) -> IntArray:
        """What is available on each node of the class, and what is coming free. Not to be written to."""
        known = self._coming.get(gpu_class)
        if known is None:
            known = self._coming[gpu_class] = self.index.capacity.table(gpu_class).coming()
        return known

    def _room(self, preemptor: Preemptor, below: int | None) -> IntArray | None:
        """What would be available on each node; None where there is nobody to preempt."""
        table = self.index.capacity.table(preemptor.gpu_class)
        within = [bucket for _, bucket in preemptor.sources_within(self.index.running)]
        across = self._freed_across(preemptor, below)
        if not within and across is None:
            return None
        room = _together(within, table)
        room += self._come(preemptor.gpu_class)
        return room if across is None else room + across

    def _freed_across(self, preemptor: Preemptor, below: int | None) -> IntArray | None:
        """What the other pools of its tree would free that borrow; None where nobody of them does.

        Summed up once for all pools of the tree, from which each takes its own part away: many ask.
        """
        if below is None:
            return None
        gpu_class, own = preemptor.gpu_class, preemptor.pool.name
        key = (self.index.quotas.root_of[own], gpu_class, below)
        known = self._borrowed.get(key)
        if known is None:
            known = self._borrowed[key] = self._sum_borrowed(*key)
        if not known.by_pool.keys() - {own}:
            return None
        return known.together - known.by_pool[own] if own in known.by_pool else known.together

    def _sum_borrowed(self, root: str, gpu_class: GpuClassName, below: int) -> _Borrowed:
        index = self.index
        table = index.capacity.table(gpu_class)
        by_pool: dict[PoolName, IntArray] = {}
        for pool in index.quotas.pools_of[root]:
            buckets = list(index.running.buckets_below(gpu_class, pool, below))
            if buckets and (pool, gpu_class) in self._borrowers:
                by_pool[pool] = _together(buckets, table)
        together = table.nothing()
        for freed in by_pool.values():
            together += freed
        return _Borrowed(together, by_pool)


def _together(buckets: list[Bucket], table: FitTable) -> IntArray:
    freed = table.nothing()
    for bucket in buckets:
        freed += bucket.freed(table)
    return freed


def preemptor_of(index: Index, lane: Lane, priority: int, gpu_class: GpuClassName) -> Preemptor:
    return Preemptor(index.policy.pools[lane.key.pool], gpu_class, priority)
