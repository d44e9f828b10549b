"""Who may be preempted for whom: attempts that the rules let a workload of a pool and priority take.

Across pools only what is borrowed is taken (`reclaimWithinCohort` where the preemptor's pool, or a cohort of it in which
the other is not, stays within its own quota, `borrowWithinCohort` where it would borrow itself), within a pool
`withinPool` alone decides, and unfunded work falls to any funded. Who may fall by different rules may fall together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from scheduler.decision.limits.quota import Quotas
from scheduler.decision.placing.running import Bucket, Running
from scheduler.domain.policy import BorrowWithinCohort, Pool, ReclaimWithinCohort, WithinPool
from scheduler.domain.units import GpuClassName

ANY_PRIORITY = 2**62
"""Above every priority."""


class Rule(StrEnum):
    """By which rule an attempt may be preempted; the names of the policy's fields where they decide."""

    UNFUNDED = "unfunded"
    RECLAIM_WITHIN_COHORT = "reclaimWithinCohort"
    BORROW_WITHIN_COHORT = "borrowWithinCohort"
    WITHIN_POOL = "withinPool"
    CONSOLIDATION = "consolidation"
    """Of the policy's section of that name: it is moved, and gives up nothing but its place."""

    @property
    def is_across(self) -> bool:
        return self is Rule.RECLAIM_WITHIN_COHORT or self is Rule.BORROW_WITHIN_COHORT


class Way(Enum):
    """How it looks for victims in other pools; in its own, and among unfunded work, it always does."""

    TAKES_BACK = auto()
    """Of pools towards which it, or a cohort of it, stays within its own quota."""
    MAY_BORROW = auto()
    """Of those, and of others as far as it may borrow from them."""
    ENDS_WITHIN = auto()
    """Of whoever borrows, if with the victims of its own pool gone its pool stays within its own quota."""


@dataclass(frozen=True, slots=True)
class Preemptor:
    """Who looks for victims: for which pool and GPU class, at which priority."""

    pool: Pool
    gpu_class: GpuClassName
    priority: int

    def sources(self, running: Running, quotas: Quotas, way: Way, gpus: int) -> Iterator[tuple[Rule, Bucket]]:
        """Attempts that may be taken for so many GPUs, by rule; of those of its own priority only the newer, where there
        are any."""
        yield from self.sources_within(running)
        taken_back = self.takes_across_below(Rule.RECLAIM_WITHIN_COHORT)
        borrowed = self.takes_across_below(Rule.BORROW_WITHIN_COHORT) if way is Way.MAY_BORROW else None
        if taken_back is None and borrowed is None:
            return
        own, levels = self.pool.name, quotas.levels_borrowed(self.pool.name, self.gpu_class, gpus)
        for pool in quotas.borrowers_of(quotas.root_of[own], self.gpu_class):
            if pool == own or not quotas.borrowed_from(own, pool, self.gpu_class):
                continue
            # Where it would borrow itself of what it shares with that pool, it takes nothing back of it.
            has_claim = way is Way.ENDS_WITHIN or len(quotas.cohorts_apart(own, pool)) >= levels
            if has_claim and taken_back is not None:
                rule, below = Rule.RECLAIM_WITHIN_COHORT, taken_back
            elif borrowed is not None:
                rule, below = Rule.BORROW_WITHIN_COHORT, borrowed
            else:
                continue
            for bucket in running.buckets_below(self.gpu_class, pool, below):
                yield rule, bucket

    def sources_within(self, running: Running) -> Iterator[tuple[Rule, Bucket]]:
        """Those of them that no other pool pays for."""
        for bucket in running.buckets(self.gpu_class, None):
            yield Rule.UNFUNDED, bucket
        if self.pool.within_pool is not WithinPool.NEVER:
            for bucket in running.buckets(self.gpu_class, self.pool.name):
                if bucket.priority < self.priority or (bucket.priority == self.priority and self.takes_newer_equals):
                    yield Rule.WITHIN_POOL, bucket

    def has_any(self, running: Running, lowest_borrowed: int | None, *, may_reclaim: bool) -> bool:
        """Whether there may be anybody at all, from sums alone; where not, no search is made.

        `lowest_borrowed` is the lowest priority that runs in those pools of the cohort that borrow.
        """
        if any(running.buckets(self.gpu_class, None)):
            return True
        if self.pool.within_pool is not WithinPool.NEVER:
            reach = self.priority + self.takes_newer_equals
            if any(bucket.priority < reach for bucket in running.buckets(self.gpu_class, self.pool.name)):
                return True
        if lowest_borrowed is None:
            return False
        rules = (Rule.RECLAIM_WITHIN_COHORT, Rule.BORROW_WITHIN_COHORT)[0 if may_reclaim else 1 :]
        return any((below := self.takes_across_below(rule)) is not None and lowest_borrowed < below for rule in rules)

    @property
    def takes_newer_equals(self) -> bool:
        return self.pool.within_pool is WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY

    def takes_across_below(self, rule: Rule) -> int | None:
        """Below which priority borrowed work of other pools falls to it under that rule; None: none does."""
        if rule is Rule.RECLAIM_WITHIN_COHORT:
            if self.pool.reclaim_within_cohort is ReclaimWithinCohort.NEVER:
                return None
            is_any = self.pool.reclaim_within_cohort is ReclaimWithinCohort.ANY
            return ANY_PRIORITY if is_any else self.priority
        if self.pool.borrow_within_cohort is BorrowWithinCohort.NEVER:
            return None
        threshold = self.pool.borrow_threshold
        return self.priority if threshold is None else min(self.priority, threshold + 1)
