"""Pools and cohorts: who may use how much of a GPU class, with Kueue's meaning.

Each pool or cohort keeps what its lending limit withholds for itself; the rest, and what it uses of it, is counted in
the cohort above, and so on up the tree (Kueue: pkg/cache/scheduler/resource_node.go). A cohort may have quota of its
own, beside what its members lend. Between two pools only what is borrowed is taken, as the tree has it (Kueue:
pkg/scheduler/preemption/classical/hierarchical_preemption.go): what a pool uses beyond its own, where each cohort up to
the one that they share uses more than its own, too.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from scheduler.domain.policy import Policy, Quota
from scheduler.domain.units import CohortName, GpuClassName, PoolName


@dataclass(slots=True)
class _Member:
    """A pool or a cohort in the tree, for one GPU class."""

    parent: "_Member | None"
    subtree: int = 0
    """Nominal quota of the pool; of a cohort its own, and what its members lend."""
    local: int = 0
    """What of it is not lent."""
    borrowing_limit: int | None = None
    used: int = 0

    def lend(self, lending_limit: int | None) -> None:
        """Its quota is known: what of it is lent is the cohort's above."""
        if self.parent is not None:
            if lending_limit is not None:
                self.local = max(0, self.subtree - lending_limit)
            self.parent.subtree += self.subtree - self.local

    def available(self) -> int:
        """What may still be used. Negative where quota was lowered under running work."""
        if self.parent is None:
            return self.subtree - self.used
        from_parent = self.parent.available()
        if self.borrowing_limit is not None:
            lent = self.subtree - self.local
            used_of_lent = max(0, self.used - self.local)
            from_parent = min(from_parent, lent - used_of_lent + self.borrowing_limit)
        return max(0, self.local - self.used) + from_parent

    def add(self, gpus: int) -> None:
        """Use `gpus` more (fewer where negative); the parent counts what exceeds the local part."""
        member: _Member | None = self
        while member is not None and gpus:
            before = member.used - member.local
            after = before + gpus
            member.used += gpus
            gpus = (after if after > 0 else 0) - (before if before > 0 else 0)  # without calls: it is half of a start
            member = member.parent


_Members = dict[tuple[PoolName, GpuClassName], _Member]


@dataclass(slots=True)
class Quotas:
    """The trees of all GPU classes under one policy, each twice: as it is going to be, and as it is.

    Between the choice of victims and their end the two differ: what they give up is promised to their preemptor, and
    is theirs still. A start needs both; whom to preempt is judged by what is going to be.
    """

    policy: Policy
    _members: _Members = field(default_factory=dict)
    _present: _Members = field(default_factory=dict)
    _inner: dict[tuple[CohortName, GpuClassName], _Member] = field(default_factory=dict)
    """Cohorts that lie in another, as they are going to be."""
    _paths: dict[PoolName, list[CohortName]] = field(default_factory=dict)
    """The cohorts that each pool lies in, its own first."""
    _heights: dict[CohortName, int] = field(default_factory=dict)
    """Of each cohort: how far below it the pool lies that is furthest away."""
    _apart: dict[tuple[PoolName, PoolName], tuple[CohortName, ...]] = field(default_factory=dict)
    root_of: dict[PoolName, str] = field(default_factory=dict)
    """The cohort at the top of the pool's tree, or the pool itself: pools of one root can affect each other."""
    _free: dict[tuple[PoolName, GpuClassName], int] = field(default_factory=dict)
    """`free` as far as it was asked since anything was counted: a cycle asks for one pool's lanes one after another."""
    pools_of: dict[str, list[PoolName]] = field(default_factory=dict)
    _borrowers: dict[tuple[str, GpuClassName], dict[PoolName, None]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """Pools that use more of a class than their nominal quota, by the tree that they are of."""

    @classmethod
    def of(cls, policy: Policy) -> "Quotas":
        quotas = cls(policy)
        classes = sorted({gpu_class for pool in policy.pools.values() for gpu_class in pool.quotas})
        for name in sorted(policy.pools):
            path = quotas._paths[name] = _path(policy, policy.pools[name].cohort)
            root = f"cohort {path[-1]}" if path else f"pool {name}"
            quotas.root_of[name] = root
            quotas.pools_of.setdefault(root, []).append(name)
            for height, cohort in enumerate(path, start=1):
                quotas._heights[cohort] = max(height, quotas._heights.get(cohort, 0))
        for gpu_class in classes:
            cohorts = quotas._plant(gpu_class, quotas._members)
            quotas._inner.update(
                {(name, gpu_class): each for name, each in cohorts.items() if each.parent is not None}
            )
            quotas._plant(gpu_class, quotas._present)
        return quotas

    def _plant(self, gpu_class: GpuClassName, members: _Members) -> dict[CohortName, _Member]:
        paths = [_path(self.policy, cohort) for cohort in _cohorts_of(self.policy)]
        paths.sort(key=len)
        cohorts: dict[CohortName, _Member] = {}
        for name, *above in paths:
            quota = self._quota_of_cohort(name, gpu_class)
            parent = cohorts.get(above[0]) if above else None
            cohorts[name] = _Member(parent, subtree=quota.nominal, borrowing_limit=quota.borrowing_limit)
        for pool in sorted(self.policy.pools.values(), key=attrgetter("name")):
            # A pool without a quota may run what was launched under another policy: all of it is borrowed.
            quota = pool.quotas.get(gpu_class) or Quota(gpu_class, 0)
            parent = cohorts[pool.cohort] if pool.cohort is not None else None
            member = _Member(parent, subtree=quota.nominal, borrowing_limit=quota.borrowing_limit)
            member.lend(quota.lending_limit)
            members[pool.name, gpu_class] = member
        for name, *_ in reversed(paths):
            cohorts[name].lend(self._quota_of_cohort(name, gpu_class).lending_limit)
        return cohorts

    def _quota_of_cohort(self, name: CohortName, gpu_class: GpuClassName) -> Quota:
        known = self.policy.cohorts.get(name)
        return (known.quotas.get(gpu_class) if known is not None else None) or Quota(gpu_class, 0)

    def has(self, pool: PoolName, gpu_class: GpuClassName) -> bool:
        """Whether the pool may use the class at all."""
        return gpu_class in self.policy.pools[pool].quotas

    def available(self, pool: PoolName, gpu_class: GpuClassName) -> int:
        """What may be used once all promises are kept."""
        return self._members[pool, gpu_class].available()

    def free(self, pool: PoolName, gpu_class: GpuClassName) -> int:
        """What may be used now, beside what is promised."""
        key = (pool, gpu_class)
        known = self._free.get(key)
        if known is None:
            present = self._present[key].available()
            known = self._free[key] = min(self._members[key].available(), present)
        return known

    def free_for_promised(self, pool: PoolName, gpu_class: GpuClassName) -> int:
        """What may be used now by whom it was promised to."""
        return self._present[pool, gpu_class].available()

    def used(self, pool: PoolName, gpu_class: GpuClassName) -> int:
        return self._members[pool, gpu_class].used

    def nominal(self, pool: PoolName, gpu_class: GpuClassName) -> int:
        return self._members[pool, gpu_class].subtree

    def over_nominal(self, pool: PoolName, gpu_class: GpuClassName, more: int = 0) -> int:
        """GPUs that the pool would borrow if it used that many more; 0 or less: within its nominal quota."""
        member = self._members.get((pool, gpu_class))
        return member.used + more - member.subtree if member is not None else more

    def levels_borrowed(self, pool: PoolName, gpu_class: GpuClassName, more: int) -> int:
        """How far up the tree it would have to borrow to use that many more: 0, not at all; 1, of its cohort; 2, of the
        cohort above that; at most as many as there are above it."""
        member, levels, most = self._members[pool, gpu_class], 0, len(self._paths[pool])
        while levels < most and member.used + more > member.subtree:
            more = max(0, member.used + more - member.local) - max(0, member.used - member.local)
            assert member.parent is not None, "there are as many levels as cohorts above"
            member, levels = member.parent, levels + 1
        return levels

    def height_borrowed(self, pool: PoolName, gpu_class: GpuClassName, more: int) -> int:
        """How much of the tree it would have to borrow of to use that many more: the height of the lowest part of it that
        has so much; 0: of nobody. What is a cohort's is nearer to its own pools than to one that lies in the cohort above,
        though either borrows of a cohort that it lies in (Kueue: FindHeightOfLowestSubtreeThatFits)."""
        levels = self.levels_borrowed(pool, gpu_class, more)
        return self._heights[self._paths[pool][levels - 1]] if levels else 0

    def may_reclaim(self, pool: PoolName, gpu_class: GpuClassName, more: int) -> bool:
        """Whether it would stay, with that many more, within its nominal quota or within what is a cohort's that lies in
        another: then it takes back, and does not borrow, of pools beyond that."""
        return self.levels_borrowed(pool, gpu_class, more) < max(1, len(self._paths[pool]))

    def cohorts_apart(self, pool: PoolName, other: PoolName) -> tuple[CohortName, ...]:
        """The cohorts that the first lies in and the other does not, its own first."""
        known = self._apart.get((pool, other))
        if known is None:
            shared = set(self._paths[other])
            apart = (cohort for cohort in self._paths[pool] if cohort not in shared)
            known = self._apart[pool, other] = tuple(apart)
        return known

    def borrowed_from(self, lender: PoolName, pool: PoolName, gpu_class: GpuClassName) -> int:
        """GPUs of the class that a pool has borrowed of what it shares with the lender: what it uses beyond its nominal
        quota, if each cohort of it in which the lender is not uses so much more than is its own."""
        borrowed = self.over_nominal(pool, gpu_class)
        for cohort in self.cohorts_apart(pool, lender):
            member = self._inner[cohort, gpu_class]
            borrowed = min(borrowed, member.used - member.subtree)
        return max(0, borrowed)

    def cohorts_over(self) -> frozenset[tuple[CohortName, GpuClassName]]:
        """Cohorts in another that use more of a class than is their own."""
        return frozenset([key for key, member in self._inner.items() if member.used > member.subtree])

    def borrowers(self) -> frozenset[tuple[PoolName, GpuClassName]]:
        """Pools that use more of a class than their nominal quota."""
        return frozenset([(pool, gpu_class) for (_, gpu_class), pools in self._borrowers.items() for pool in pools])

    def borrowers_of(self, root: str, gpu_class: GpuClassName) -> Iterable[PoolName]:
        """Those of one tree that use more of the class."""
        return self._borrowers.get((root, gpu_class), ())

    def use(self, pool: PoolName, gpu_class: GpuClassName, gpus: int) -> None:
        """Count `gpus` more, or fewer where negative. What no policy knows of is not counted."""
        self.promise(pool, gpu_class, gpus)
        self.hold(pool, gpu_class, gpus)

    def promise(self, pool: PoolName, gpu_class: GpuClassName, gpus: int) -> None:
        """Count `gpus` that are going to be used, or, where negative, that are going to be given up."""
        member = self._members.get((pool, gpu_class))
        if member is not None:
            did_borrow = member.used > member.subtree
            member.add(gpus)
            self._free.clear()
            borrows = member.used > member.subtree
            if borrows is not did_borrow:
                borrowers = self._borrowers[self.root_of[pool], gpu_class]
                if borrows:
                    borrowers[pool] = None
                else:
                    del borrowers[pool]

    def hold(self, pool: PoolName, gpu_class: GpuClassName, gpus: int) -> None:
        """Count `gpus` that are used now and are promised to somebody else, or that were promised and are used now."""
        member = self._present.get((pool, gpu_class))
        if member is not None:
            member.add(gpus)
            self._free.clear()


def _cohorts_of(policy: Policy) -> list[CohortName]:
    """Every cohort that there is: those of the policy, and those that are only named."""
    named = {name for pool in policy.pools.values() for name in _path(policy, pool.cohort)}
    return sorted(named | policy.cohorts.keys())


def _path(policy: Policy, cohort: CohortName | None) -> list[CohortName]:
    """A cohort, its parent, and so on. A cycle, which no checked policy has, ends the walk."""
    path: list[CohortName] = []
    while cohort is not None and cohort not in path:
        path.append(cohort)
        known = policy.cohorts.get(cohort)
        cohort = known.parent if known is not None else None
    return path
