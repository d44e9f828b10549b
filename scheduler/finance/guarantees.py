"""Guaranteed capacity that was neither used nor lent: kept for a pool or a cohort, and so a cost.

Over a period a pool is guaranteed its nominal quota × the time, and a cohort what it has of its own. Of that a pool used
what its own work took within the quota; what others borrowed was lent; the rest is idle. Who borrowed from whom is not
recorded. So what pools borrowed of a class is taken to come of the nearest cohort that had something left: what it has of
its own and what its members left, as far as their lending limits let them, spread over them by what each had left,
rounded down once in a cumulative sum; what that did not cover came of the cohort above. Never more is lent than was left.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.domain.units import CohortName, GpuClassName, PoolName

Share = tuple[PoolName, GpuClassName]
CohortShare = tuple[CohortName, GpuClassName]


@dataclass(frozen=True, slots=True)
class Tree:
    """Which cohort a pool or a cohort lies in (None: in none), GPU-milliseconds that cohorts have of their own, and the
    most that pools and cohorts lend, where that is limited."""

    cohort_of: Mapping[PoolName, CohortName | None]
    parent_of: Mapping[CohortName, CohortName | None] = field(default_factory=dict)
    shared: Mapping[CohortShare, int] = field(default_factory=dict)
    lends: Mapping[Share, int] = field(default_factory=dict)
    cohort_lends: Mapping[CohortShare, int] = field(default_factory=dict)

    def cohorts_from_below(self) -> list[CohortName]:
        """All of them, each before the one that it lies in. A cycle, which no checked policy has, is cut."""
        named = {*self.parent_of, *self.cohort_of.values(), *self.parent_of.values()}
        return sorted((each for each in named if each is not None), key=lambda each: (-self._depth(each), each))

    def _depth(self, cohort: CohortName) -> int:
        seen: set[CohortName] = set()
        above: CohortName | None = cohort
        while above is not None and above not in seen:
            seen.add(above)
            above = self.parent_of.get(above)
        return len(seen)


@dataclass(frozen=True, slots=True)
class Guarantee:
    """Physical GPU-milliseconds of a pool, or of a cohort where `pool` is None; `idle_ms` = `guaranteed_ms` − `used_ms` −
    `lent_ms`, none below zero."""

    pool: PoolName | None
    gpu_class: GpuClassName
    guaranteed_ms: int
    used_ms: int
    lent_ms: int
    cohort: CohortName | None = None

    @property
    def idle_ms(self) -> int:
        return self.guaranteed_ms - self.used_ms - self.lent_ms


def guarantees(
    guaranteed: Mapping[Share, int], own: Mapping[Share, int], borrowed: Mapping[Share, int], tree: Tree
) -> list[Guarantee]:
    """`own` is what pools used within their quota, `borrowed` what they used beyond it, both by pool and class. Pools come
    first, then cohorts."""
    used = {share: min(amount, own.get(share, 0)) for share, amount in guaranteed.items()}
    left = {share: amount - used[share] for share, amount in guaranteed.items()}
    classes = {gpu_class for _, gpu_class in (*guaranteed, *tree.shared)}
    lent = {gpu_class: _lent(tree, gpu_class, left, borrowed) for gpu_class in classes}
    pools = [
        Guarantee(pool, gpu_class, amount, used[pool, gpu_class], lent[gpu_class].get((False, pool), 0))
        for (pool, gpu_class), amount in sorted(guaranteed.items())
        if amount
    ]
    return pools + [
        Guarantee(None, gpu_class, amount, 0, lent[gpu_class].get((True, cohort), 0), cohort)
        for (cohort, gpu_class), amount in sorted(tree.shared.items())
        if amount
    ]


_Lender = tuple[bool, PoolName | CohortName]
"""Whether it is a cohort, and its name."""


def _lent(
    tree: Tree, gpu_class: GpuClassName, left: Mapping[Share, int], borrowed: Mapping[Share, int]
) -> Mapping[_Lender, int]:
    """What each lent of one class, from the leaves of the tree upwards."""
    wanted: dict[CohortName, int] = defaultdict(int)
    offered: dict[CohortName, dict[_Lender, int]] = defaultdict(dict)
    for pool, cohort in sorted(tree.cohort_of.items()):
        if cohort is not None:
            share = (pool, gpu_class)
            wanted[cohort] += borrowed.get(share, 0)
            most = left.get(share, 0)
            offered[cohort][False, pool] = min(most, tree.lends.get(share, most))
    found: dict[_Lender, int] = defaultdict(int)
    for cohort in tree.cohorts_from_below():
        offers = offered[cohort]
        offers[True, cohort] = tree.shared.get((cohort, gpu_class), 0)
        given = _spread(wanted[cohort], offers)
        for lender, amount in given.items():
            found[lender] += amount
        parent = tree.parent_of.get(cohort)
        if parent is not None:
            wanted[parent] += wanted[cohort] - sum(given.values())
            rest = {lender: amount - given[lender] for lender, amount in offers.items()}
            offered[parent] |= _spread(tree.cohort_lends.get((cohort, gpu_class), sum(rest.values())), rest)
    return found


def _spread(wanted: int, offers: Mapping[_Lender, int]) -> dict[_Lender, int]:
    """That much, or all there is, by what each offers."""
    whole = sum(offers.values())
    wanted = min(wanted, whole)
    found: dict[_Lender, int] = {}
    seen = given = 0
    for lender, left in sorted(offers.items()):
        seen += left
        found[lender] = wanted * seen // whole - given if whole else 0
        given += found[lender]
    return found
