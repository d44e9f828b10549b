"""Guaranteed capacity that a pool neither used nor lent: kept for it, and so a cost of it.

Over a period a pool is guaranteed its nominal quota × the time. Of that it used what its own work took within the quota,
and lent what other pools of its cohort borrowed; the rest is idle. Who borrowed from whom is not recorded: what a cohort's
pools borrowed of a class is spread over the pools that had something left, by what each had left, rounded down once in a
cumulative sum, and never more than that.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scheduler.domain.units import CohortName, GpuClassName, PoolName

Share = tuple[PoolName, GpuClassName]


@dataclass(frozen=True, slots=True)
class Guarantee:
    """Physical GPU-milliseconds; `idle_ms` = `guaranteed_ms` − `used_ms` − `lent_ms`, none below zero."""

    pool: PoolName
    gpu_class: GpuClassName
    guaranteed_ms: int
    used_ms: int
    lent_ms: int

    @property
    def idle_ms(self) -> int:
        return self.guaranteed_ms - self.used_ms - self.lent_ms


def guarantees(
    guaranteed: Mapping[Share, int],
    own: Mapping[Share, int],
    borrowed: Mapping[Share, int],
    cohorts: Mapping[PoolName, CohortName | None],
) -> list[Guarantee]:
    """`own` is what pools used within their quota, `borrowed` what they used beyond it, both by pool and class."""
    used = {share: min(amount, own.get(share, 0)) for share, amount in guaranteed.items()}
    lent: dict[Share, int] = {}
    for (cohort, gpu_class), wanted in _by_cohort(borrowed, cohorts).items():
        lenders = [
            (share, guaranteed[share] - used[share])
            for share in sorted(guaranteed)
            if share[1] == gpu_class and cohorts.get(share[0]) == cohort and guaranteed[share] > used[share]
        ]
        lent.update(_spread(wanted, lenders))
    return [
        Guarantee(*share, amount, used[share], lent.get(share, 0))
        for share, amount in sorted(guaranteed.items())
        if amount
    ]


def _by_cohort(
    borrowed: Mapping[Share, int], cohorts: Mapping[PoolName, CohortName | None]
) -> Mapping[tuple[CohortName, GpuClassName], int]:
    sums: dict[tuple[CohortName, GpuClassName], int] = defaultdict(int)
    for (pool, gpu_class), amount in borrowed.items():
        cohort = cohorts.get(pool)
        if cohort is not None:
            sums[cohort, gpu_class] += amount
    return sums


def _spread(wanted: int, lenders: Iterable[tuple[Share, int]]) -> Mapping[Share, int]:
    parts = list(lenders)
    whole = sum(left for _, left in parts)
    wanted = min(wanted, whole)
    found: dict[Share, int] = {}
    seen = given = 0
    for share, left in parts:
        seen += left
        found[share] = wanted * seen // whole - given
        given += found[share]
    return found
