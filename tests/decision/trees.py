"""The tree of cohorts once more, written for itself: what belongs to whom, what each uses of it, and who has borrowed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scheduler.decision.plan import Plan, Victim
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.policy import BorrowWithinCohort, Policy, Pool, Quota, ReclaimWithinCohort, WithinPool
from scheduler.domain.units import GpuClassName, PoolName
from scheduler.domain.workloads import AttemptState, Workload

Member = tuple[str, str]
"""A `pool` or a `cohort`, and its name."""


@dataclass(frozen=True)
class Tree:
    """One GPU class under a policy, and what pools use of it."""

    policy: Policy
    gpu_class: GpuClassName
    used: Mapping[PoolName, int]

    def above(self, member: Member) -> Member | None:
        kind, name = member
        known = self.policy.cohorts if kind == "cohort" else self.policy.pools
        found = known.get(name)  # type: ignore[call-overload]  # of either
        if found is None:
            return None
        parent = found.parent if kind == "cohort" else found.cohort
        return ("cohort", parent) if parent is not None else None

    def way_up(self, member: Member) -> Iterator[Member]:
        known: Member | None = member
        while known is not None:
            yield known
            known = self.above(known)

    def quota(self, member: Member) -> Quota:
        kind, name = member
        known = self.policy.cohorts if kind == "cohort" else self.policy.pools
        found = known.get(name)  # type: ignore[call-overload]  # of either
        return (found.quotas.get(self.gpu_class) if found is not None else None) or Quota(self.gpu_class, 0)

    def members(self, member: Member) -> list[Member]:
        known = [("pool", name) for name in self.policy.pools] + [("cohort", name) for name in self.policy.cohorts]
        return [each for each in known if self.above(each) == member]

    def own(self, member: Member) -> int:
        """Its quota: its own, and what those in it lend."""
        lent = sum(self.own(each) - self.kept(each) for each in self.members(member))
        return self.quota(member).nominal + lent

    def kept(self, member: Member) -> int:
        limit = self.quota(member).lending_limit
        return 0 if limit is None or self.above(member) is None else max(0, self.own(member) - limit)

    def load(self, member: Member) -> int:
        """What is used of that."""
        kind, name = member
        if kind == "pool":
            return self.used.get(PoolName(name), 0)
        return sum(max(0, self.load(each) - self.kept(each)) for each in self.members(member))

    def below_both(self, pool: PoolName, other: PoolName) -> list[Member]:
        """The pool and those of its cohorts in which the other is not."""
        shared = set(self.way_up(("pool", other)))
        return [each for each in self.way_up(("pool", pool)) if each not in shared]

    def is_borrowed_from(self, lender: PoolName, pool: PoolName) -> bool:
        return all(self.load(each) > self.own(each) for each in self.below_both(pool, lender))

    def is_within(self, pool: PoolName, other: PoolName) -> bool:
        """Whether it uses no more than is its own, or a cohort's of it in which the other is not."""
        return any(self.load(each) <= self.own(each) for each in self.below_both(pool, other))

    def keeps_limits(self, pool: PoolName) -> bool:
        return all(beyond <= 0 for beyond in self.beyond_limits(pool).values())

    def beyond_limits(self, pool: PoolName) -> dict[Member, int]:
        """GPUs that the pool, or a cohort above it, uses beyond what it may."""
        beyond: dict[Member, int] = {}
        for each in self.way_up(("pool", pool)):
            limit = self.quota(each).borrowing_limit if self.above(each) is not None else 0
            if limit is not None:
                beyond[each] = self.load(each) - self.own(each) - limit
        return beyond


def require_quota(before: Snapshot, after: Snapshot, pool: Pool, gpu_class: GpuClassName) -> None:
    """No limit is exceeded by more than it was: a quota may have been lowered under what runs."""
    was, now = (
        Tree(each.policy, gpu_class, {name: used(each, name, gpu_class) for name in each.policy.pools})
        for each in (before, after)
    )
    allowed = was.beyond_limits(pool.name)
    assert all(beyond <= max(0, allowed[each]) for each, beyond in now.beyond_limits(pool.name).items())


def used(snapshot: Snapshot, pool: PoolName, gpu_class: GpuClassName) -> int:
    return sum(
        attempt.gpus
        for attempt in snapshot.attempts.values()
        if attempt.is_funded
        and (attempt.pool, attempt.gpu_class) == (pool, gpu_class)
        and attempt.state is not AttemptState.STOPPING
        and not attempt.is_inside
        and (not attempt.is_booking or attempt.launched_at <= snapshot.now)
    )


def promised(snapshot: Snapshot, pool: PoolName, gpu_class: GpuClassName) -> int:
    """What counts in the pool since its victims were chosen, or since it is being moved, though it has not started."""
    known = {**snapshot.launched, **snapshot.queued}
    waiting = ((each, known.get(each.workload_id)) for each in snapshot.reservations.values())
    return sum(
        each.pods * workload.spec.pod.gpus
        for each, workload in waiting
        if workload is not None
        and each.gpu_class == gpu_class
        and snapshot.policy.pool_of_team[workload.team].name == pool
    )


def require_rule(snapshot: Snapshot, plan: Plan, preemptor: Workload, victim: Victim) -> None:
    """That it may fall, as `withinPool` says of its own pool, or across pools of what is borrowed alone."""
    policy, attempt = snapshot.policy, snapshot.attempts[victim.attempt_id]
    pool: Pool = policy.pool_of_team[preemptor.team]
    mine = policy.priority_classes[preemptor.spec.priority_class].value
    theirs = policy.priority_classes[attempt.priority_class].value
    if attempt.pool == pool.name:
        newer = attempt.submitted_at is not None and attempt.submitted_at > preemptor.submitted_at
        allowed = {
            WithinPool.NEVER: False,
            WithinPool.LOWER_PRIORITY: theirs < mine,
            WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY: theirs < mine or (theirs == mine and newer),
        }
        assert allowed[pool.within_pool]
        return
    of_class = attempt.gpu_class
    loads = {name: used(snapshot, name, of_class) for name in policy.pools}
    later = {name: gpus + promised(snapshot, name, of_class) for name, gpus in loads.items()}
    assert Tree(policy, of_class, later).is_borrowed_from(pool.name, attempt.pool)
    if victim.rule == "reclaimWithinCohort":
        for each in (each for preemption in plan.preemptions for each in preemption.victims):
            known = snapshot.attempts[each.attempt_id]
            if known.is_funded and known.gpu_class == of_class:
                loads[known.pool] -= known.gpus - (each.pods_left or 0) * known.pod.gpus
        loads[pool.name] += preemptor.spec.at_minimum.gpus
        assert Tree(policy, of_class, loads).is_within(pool.name, attempt.pool)
    reclaims = pool.reclaim_within_cohort is ReclaimWithinCohort.ANY or (
        pool.reclaim_within_cohort is ReclaimWithinCohort.LOWER_PRIORITY and theirs < mine
    )
    borrows = pool.borrow_within_cohort is BorrowWithinCohort.LOWER_PRIORITY and theirs < mine
    assert reclaims if victim.rule == "reclaimWithinCohort" else borrows
