"""Promised quota: what has waited too long and lacks quota has it kept, as others have room kept, so that ageing bounds
its wait.

Of its own pool nothing behind it starts that would still use the quota when it could have it; where it stays within
its pool's nominal quota, no other pool of the cohort borrows that quota for longer either. See docs/adr/0017-ageing.md.
Where its pool may not take back what others borrow, that holds for them before it has waited too long, too, as in Kueue:
of what its pool has not used yet of its nominal quota, for it would not come back while others go on borrowing it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from scheduler.decision.index import Index
from scheduler.decision.keeping.backfill import Shadow
from scheduler.decision.ordering.queue import Lane, Line
from scheduler.decision.placing.ends import latest_end_if_started
from scheduler.decision.plan import Launch
from scheduler.domain.units import GpuClassName, Instant, PoolName, WorkloadId
from scheduler.domain.workloads import WorkloadSpec


@dataclass(slots=True)
class PromisedQuota:
    """Those of one cycle who wait for quota and have it kept: the first of each pool and GPU class."""

    index: Index
    _first: dict[tuple[PoolName, GpuClassName], tuple[Lane, Shadow | None]] = field(default_factory=dict)

    def wait(
        self,
        lane: Lane,
        line: Line,
        workload_id: WorkloadId,
        gpu_class: GpuClassName,
        launched: Iterable[tuple[Launch, WorkloadSpec]],
    ) -> Instant | None:
        """It waits for quota of the class. Returns from when it is to have room as well: when it can have its quota, by
        what is known of ends; None where they never give it, where it would borrow and nobody owes it that, or where
        it has not waited too long."""
        key = (lane.key.pool, gpu_class)
        if key not in self._first:
            gpus = lane.gpus if line.is_aged else min(lane.gpus, -self.index.quotas.over_nominal(*key))
            at = self._free_at(lane, gpu_class, launched) if gpus > 0 else None
            shadow = Shadow(workload_id, line, lane.key.pool, gpus, at, {}) if at is not None else None
            self._first[key] = (lane, shadow)
        first = self._first[key][1]
        has_claim = line.is_aged and not self._is_beyond_nominal(lane, gpu_class)
        return first.at if first is not None and has_claim else None

    def keeps_any_of(self, gpu_class: GpuClassName) -> bool:
        return any(known == gpu_class for _, known in self._first)

    def _is_beyond_nominal(self, lane: Lane, gpu_class: GpuClassName) -> bool:
        return lane.gpus > self.index.quotas.nominal(lane.key.pool, gpu_class)

    def shadow(self, gpu_class: GpuClassName, lane: Lane, spec: WorkloadSpec) -> Shadow | None:
        """Whose quota work of the lane must leave alone; None where it is nobody's, or it is gone in time."""
        if not lane.key.is_funded:
            return None
        for (_, known), (waiting, shadow) in self._first.items():
            if known != gpu_class or shadow is None or not self._concerns(waiting, shadow.line, lane, gpu_class):
                continue
            if latest_end_if_started(spec, self.index.now) > shadow.at:
                return shadow
        return None

    def _concerns(self, waiting: Lane, line: Line, lane: Lane, gpu_class: GpuClassName) -> bool:
        """Its own pool, once it has aged; and where it would not borrow, whoever of the cohort would."""
        quotas, pool = self.index.quotas, waiting.key.pool
        if lane.key.pool == pool:
            return line.is_aged
        is_kin = quotas.root_of[lane.key.pool] == quotas.root_of[pool]
        if not is_kin or self._is_beyond_nominal(waiting, gpu_class):
            return False
        return quotas.over_nominal(lane.key.pool, gpu_class, lane.gpus) > 0

    def _free_at(
        self, waiting: Lane, gpu_class: GpuClassName, launched: Iterable[tuple[Launch, WorkloadSpec]]
    ) -> Instant | None:
        """When ends alone, by time limits, give it its quota; None where they never do."""
        index, quotas, pool = self.index, self.index.quotas, waiting.key.pool
        root = quotas.root_of[pool]
        ends = [*index.running.quota_ends(gpu_class)]
        bookings = index.bookings.of_class(gpu_class)
        ends += [(each.booked_until, each.pool, each.gpus) for each in bookings]
        ends += [(each.launched_at, each.pool, -each.gpus) for each in bookings if each.launched_at > index.now]
        ends += [
            (latest_end_if_started(spec, index.now), each.pool, spec.gpus)
            for each, spec in launched
            if each.is_funded and each.booking_id is None
        ]
        lacking = waiting.gpus - quotas.free(pool, gpu_class)
        is_beyond = self._is_beyond_nominal(waiting, gpu_class)
        borrowed = 0 if is_beyond else quotas.over_nominal(pool, gpu_class, waiting.gpus)
        given: dict[PoolName, int] = defaultdict(int)
        """What pools give back up to that end, and is counted as used still."""
        given_up: list[tuple[PoolName, int]] = []
        found: Instant | None = None
        for at, owner, gpus in sorted(end for end in ends if quotas.root_of.get(end[1]) == root):
            given[owner] += gpus
            lacking -= max(0, gpus)
            borrowed -= max(0, gpus) if owner == pool else 0
            if lacking > 0 or borrowed > 0:
                continue  # an end gives it at most what it frees
            given_up += given.items()
            for giver, freed in given.items():
                quotas.use(giver, gpu_class, -freed)
            given.clear()
            if quotas.free(pool, gpu_class) >= waiting.gpus:
                found = Instant(max(index.now, at))
                break
        for giver, freed in given_up:
            quotas.use(giver, gpu_class, freed)
        return found
