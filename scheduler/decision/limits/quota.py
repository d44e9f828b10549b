"""Pools and cohorts: who may use how much of a GPU class, with Kueue's meaning.

Each pool keeps what its lending limit withholds for itself; the rest, and what it uses of it, is counted in its
cohort, and so on up the tree (Kueue: pkg/cache/scheduler/resource_node.go). Cohorts have no quota of their own.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from scheduler.domain.policy import Policy, Quota
from scheduler.domain.units import GpuClassName, PoolName


@dataclass(slots=True)
class _Member:
    """A pool or a cohort in the tree, for one GPU class."""

    parent: "_Member | None"
    subtree: int = 0
    """Nominal quota of the pool, or what its members lend to the cohort."""
    local: int = 0
    """What of it is not lent."""
    borrowing_limit: int | None = None
    used: int = 0

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
            line = _ancestry(policy, name)
            root = f"cohort {line[-1]}" if line else f"pool {name}"
            quotas.root_of[name] = root
            quotas.pools_of.setdefault(root, []).append(name)
        for gpu_class in classes:
            quotas._plant(gpu_class, quotas._members)
            quotas._plant(gpu_class, quotas._present)
        return quotas

    def _plant(self, gpu_class: GpuClassName, members: _Members) -> None:
        cohorts: dict[str, _Member] = {}
        for name in sorted(self.policy.pools):
            parent: _Member | None = None
            for cohort in reversed(_ancestry(self.policy, name)):
                parent = cohorts.setdefault(cohort, _Member(parent))
            # A pool without a quota may run what was launched under another policy: all of it is borrowed.
            quota = self.policy.pools[name].quotas.get(gpu_class) or Quota(gpu_class, 0)
            member = _Member(parent, subtree=quota.nominal, borrowing_limit=quota.borrowing_limit)
            if quota.lending_limit is not None and parent is not None:
                member.local = max(0, quota.nominal - quota.lending_limit)
            members[name, gpu_class] = member
            while parent is not None:
                parent.subtree += member.subtree - member.local
                parent = parent.parent

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

    def borrowers(self) -> frozenset[tuple[PoolName, GpuClassName]]:
        """Pools that use more of a class than their nominal quota."""
        return frozenset((pool, gpu_class) for (_, gpu_class), pools in self._borrowers.items() for pool in pools)

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
            member.add(gpus)
            self._free.clear()
            borrowers = self._borrowers[self.root_of[pool], gpu_class]
            if member.used > member.subtree:
                borrowers[pool] = None
            else:
                borrowers.pop(pool, None)

    def hold(self, pool: PoolName, gpu_class: GpuClassName, gpus: int) -> None:
        """Count `gpus` that are used now and are promised to somebody else, or that were promised and are used now."""
        member = self._present.get((pool, gpu_class))
        if member is not None:
            member.add(gpus)
            self._free.clear()


def _ancestry(policy: Policy, pool: PoolName) -> list[str]:
    """The pool's cohort, that cohort's parent, and so on. A cycle, which no checked policy has, ends the walk."""
    line: list[str] = []
    cohort = policy.pools[pool].cohort
    while cohort is not None and cohort not in line:
        line.append(cohort)
        known = policy.cohorts.get(cohort)
        cohort = known.parent if known is not None else None
    return line
