"""Kueue's classical preemption of one GPU class, written once more from what it does (pkg/scheduler/preemption/classical):
whom it may preempt by which advantage, in which of two rounds, and whether the workload then fits its quota. No room."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from scheduler.domain.policy import BorrowWithinCohort, Policy, ReclaimWithinCohort, WithinPool
from scheduler.domain.units import PoolName
from tests.decision.builders import H100
from tests.decision.trees import Member, Tree


@dataclass(frozen=True)
class Asked:
    """GPUs of a pool at a priority, since so many minutes: what runs, or what asks to."""

    name: str
    pool: PoolName
    priority: int
    gpus: int
    age: int


@dataclass(frozen=True)
class _Candidate:
    asked: Asked
    turn: int
    """0: taken back from it; 1: of another pool else; 2: of its own."""
    shared: Member | None = None
    """The cohort that both pools lie in."""
    falls_to_borrowers: bool = True


@dataclass(frozen=True)
class Kueue:
    """What it would do for one workload beside what runs."""

    policy: Policy
    running: tuple[Asked, ...]
    asks: Asked

    def starts(self) -> bool:
        return self._fits(self.running, may_borrow=True)

    def preempts(self) -> bool:
        """Whether it finds a set for it; of one that would fit as it is, False."""
        if self.starts():
            return False
        pool = self.policy.pools[self.asks.pool]
        can_borrow = pool.borrow_within_cohort is not BorrowWithinCohort.NEVER
        candidates = self._candidates()
        is_under = self._tree(self.running).used[pool.name] < pool.quotas[H100].nominal
        has_advantage = (
            any(self._advantages().values()) and pool.reclaim_within_cohort is not ReclaimWithinCohort.NEVER
        )
        if not (self.asks.gpus <= pool.quotas[H100].nominal or can_borrow or has_advantage):
            return False
        others = any(each.turn < 2 for each in candidates)
        rounds = (True,) if not others or not (can_borrow or is_under) else (True, False)
        return any(self._is_found(candidates, may_borrow=each) for each in rounds)

    def _is_found(self, candidates: list[_Candidate], *, may_borrow: bool) -> bool:
        left = list(self.running)
        for candidate in candidates:
            if may_borrow and not candidate.falls_to_borrowers:
                continue
            if candidate.turn < 2 and not self._still_borrows(left, candidate):
                continue
            left.remove(candidate.asked)
            if self._fits(left, may_borrow=may_borrow):
                return True
        return False

    def _candidates(self) -> list[_Candidate]:
        pool, tree, advantages = self.policy.pools[self.asks.pool], self._tree(self.running), self._advantages()
        found = []
        for each in self.running:
            is_lower = each.priority < self.asks.priority
            if each.pool == pool.name:
                is_newer = each.priority == self.asks.priority and each.age < self.asks.age
                falls = {
                    WithinPool.NEVER: False,
                    WithinPool.LOWER_PRIORITY: is_lower,
                    WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY: is_lower or is_newer,
                }
                found += [_Candidate(each, 2)] if falls[pool.within_pool] else []
                continue
            reclaims = pool.reclaim_within_cohort
            shared = next((one for one in tree.way_up(("pool", each.pool)) if one in advantages), None)
            if shared is None or reclaims is ReclaimWithinCohort.NEVER:
                continue
            if reclaims is ReclaimWithinCohort.LOWER_PRIORITY and not is_lower:
                continue
            can_borrow = pool.borrow_within_cohort is not BorrowWithinCohort.NEVER
            is_below = is_lower and (pool.borrow_threshold is None or each.priority <= pool.borrow_threshold)
            if advantages[shared]:
                found.append(_Candidate(each, 0, shared))
            else:
                found.append(_Candidate(each, 1, shared, falls_to_borrowers=can_borrow and is_below))
        return sorted(found, key=lambda one: (one.turn, one.asked.priority, one.asked.age))

    def _advantages(self) -> Mapping[Member, bool]:
        """Of each cohort above its pool, whether what lies below on its way stays within its own quota."""
        tree, has, remaining = self._tree(self.running), False, self.asks.gpus
        way = list(tree.way_up(("pool", self.asks.pool)))
        found = {}
        for below, cohort in pairwise(way):
            load = tree.load(below)
            has = has or load + remaining <= tree.own(below)
            remaining = max(0, remaining - max(0, tree.kept(below) - load))
            found[cohort] = has
        return found

    def _still_borrows(self, left: list[Asked], candidate: _Candidate) -> bool:
        tree = self._tree(left)
        for each in tree.way_up(("pool", candidate.asked.pool)):
            if each == candidate.shared:
                return True
            if tree.load(each) <= tree.own(each):
                return False
        return True

    def _fits(self, running: tuple[Asked, ...] | list[Asked], *, may_borrow: bool) -> bool:
        tree = self._tree((*running, self.asks))
        pool = self.asks.pool
        return tree.keeps_limits(pool) and (may_borrow or tree.load(("pool", pool)) <= tree.own(("pool", pool)))

    def _tree(self, running: tuple[Asked, ...] | list[Asked]) -> Tree:
        used = dict.fromkeys(self.policy.pools, 0)
        for each in running:
            used[each.pool] += each.gpus
        return Tree(self.policy, H100, used)
