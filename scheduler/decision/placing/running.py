"""The attempts that occupy GPUs, and who of them may be preempted.

An attempt that is being preempted no longer counts against its pool's quota (its preemptor's reservation does, as in
Kueue, which gives quota back when an eviction begins); on its nodes, and for its owner, it counts to its end.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter

from scheduler.decision.placing.ends import latest_end
from scheduler.decision.placing.fit_table import FitTable, IntArray
from scheduler.decision.placing.freed import Freed
from scheduler.decision.placing.movable import Movable
from scheduler.domain.cluster import Placement
from scheduler.domain.policy import Policy
from scheduler.domain.reasons import Reason
from scheduler.domain.units import AttemptId, EngineerId, GpuClassName, Instant, NodeName, PoolName
from scheduler.domain.workloads import Attempt, AttemptState

QuotaEnd = tuple[Instant, PoolName, int]
"""When at the latest a pool gets quota back, and for how many GPUs."""


@dataclass(eq=False, slots=True)
class Bucket:
    """Attempts that are alike in the eyes of a preemptor, and may be taken now: their minimum runtime is over.

    Of an elastic one that is still inside it, what is above its minimum may be taken all the same.
    """

    pool: PoolName | None
    """None: of whichever pool; they are unfunded."""
    priority: int
    attempts: dict[AttemptId, Attempt] = field(default_factory=dict)
    elastic: dict[AttemptId, Attempt] = field(default_factory=dict)
    """Those that have pods above their minimum, whether they may be stopped or not."""
    gpus: int = 0
    """Of all that may be taken of it."""
    _freed: Freed = field(default_factory=Freed)

    def add(self, attempt: Attempt, *, is_stoppable: bool) -> None:
        """It may be stopped; or else what is above its minimum may be taken."""
        known = self._taken_of(attempt.id)
        if attempt.surplus:
            self.elastic[attempt.id] = attempt
        if is_stoppable:
            self.attempts[attempt.id] = attempt
        self._change(known, self._taken_of(attempt.id))

    def remove(self, attempt: Attempt) -> None:
        known = self._taken_of(attempt.id)
        self.attempts.pop(attempt.id, None)
        self.elastic.pop(attempt.id, None)
        self._change(known, None)

    @property
    def is_empty(self) -> bool:
        return not (self.attempts or self.elastic)

    def freed(self, table: FitTable) -> IntArray:
        """What would be freed on each node of its class, were all of it taken. Not to be written to."""
        spared = self.elastic.keys() - self.attempts.keys()
        if not spared:
            return self._freed.of(self.attempts, table)
        surpluses = {key: given_back(self.elastic[key], self.elastic[key].surplus) for key in spared}
        return self._freed.of({**self.attempts, **surpluses}, table)

    def _taken_of(self, attempt_id: AttemptId) -> Attempt | None:
        """What of an attempt may be taken."""
        spared = self.elastic.get(attempt_id)
        return self.attempts.get(attempt_id) or (given_back(spared, spared.surplus) if spared is not None else None)

    def _change(self, before: Attempt | None, after: Attempt | None) -> None:
        if before is not None and (after is None or before.placement != after.placement):
            self._freed.change(before, -1)
            self.gpus -= before.gpus
        if after is not None and (before is None or before.placement != after.placement):
            self._freed.change(after, 1)
            self.gpus += after.gpus


def given_back(attempt: Attempt, pods: int) -> Attempt:
    """The last so many of its pods, as an attempt that ends."""
    return replace(attempt, placement=attempt.placement.beyond(attempt.placement.pods - pods), leaving=None)


class Running:
    """Live attempts, and sums over them that are kept up to date with each change."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.attempts: dict[AttemptId, Attempt] = {}
        self.gpus = 0
        self.unfunded_gpus_of_owner: dict[EngineerId, int] = defaultdict(int)
        self._unfunded_of_owner: dict[EngineerId, dict[AttemptId, Instant]] = defaultdict(dict)
        self._stopping_on: dict[NodeName, set[AttemptId]] = defaultdict(set)
        self.growable: dict[GpuClassName, dict[AttemptId, Attempt]] = defaultdict(dict)
        """Elastic attempts that could have more pods."""
        self._quota_ends: dict[GpuClassName, dict[AttemptId, QuotaEnd]] = defaultdict(dict)
        self._buckets: dict[tuple[GpuClassName, PoolName | None], dict[int, Bucket]] = defaultdict(dict)
        self.movable = Movable()

    def priority(self, attempt: Attempt) -> int:
        """Its priority class's value; a class that policy no longer has ranks below all."""
        known = self._policy.priority_classes.get(attempt.priority_class)
        return known.value if known is not None else _BELOW_ALL

    def add(self, attempt: Attempt, now: Instant) -> None:
        self.attempts[attempt.id] = attempt
        self._count(attempt, 1)
        if not attempt.is_funded:
            self._unfunded_of_owner[attempt.owner][attempt.id] = attempt.launched_at
        for name in _ending_on(attempt):
            self._stopping_on[name].add(attempt.id)
        if attempt.is_growable:
            self.growable[attempt.gpu_class][attempt.id] = attempt
        if counts_for_quota(attempt) and not attempt.is_inside:
            self._quota_ends[attempt.gpu_class][attempt.id] = (latest_end(attempt), attempt.pool, attempt.gpus)
        self._note_movable(attempt)
        self.expose(attempt, now)

    def expose(self, attempt: Attempt, now: Instant) -> None:
        """Let it be preempted, if it may be by now; what is above its minimum may be taken at once."""
        if not self._may_ever_be_victim(attempt):
            return
        self.movable.touch(attempt.gpu_class)
        is_open = self.protected_until(attempt) <= now
        if is_open or attempt.surplus:
            place, priority = self._place(attempt), self.priority(attempt)
            buckets = self._buckets[place]
            if priority not in buckets:
                buckets[priority] = Bucket(place[1], priority)
            buckets[priority].add(attempt, is_stoppable=is_open)

    def takes_checkpoint(self, attempt: Attempt) -> bool:
        """Where nothing about it is another but its last checkpoint: that decides between victims, and nothing else."""
        old = self.attempts.get(attempt.id)
        if old is None or old.checkpointed_at == attempt.checkpointed_at:
            return False
        if _but_checkpoint(old) != _but_checkpoint(attempt):
            return False
        self.attempts[attempt.id] = attempt
        if attempt.id in self.growable[attempt.gpu_class]:
            self.growable[attempt.gpu_class][attempt.id] = attempt
        self._note_movable(attempt)
        bucket = self._buckets[self._place(attempt)].get(self.priority(attempt))
        if bucket is not None and (attempt.id in bucket.attempts or attempt.id in bucket.elastic):
            bucket.add(attempt, is_stoppable=attempt.id in bucket.attempts)
        return True

    def remove(self, attempt_id: AttemptId) -> None:
        attempt = self.attempts.pop(attempt_id)
        self._count(attempt, -1)
        self.movable.drop(attempt)
        if not attempt.is_funded:
            del self._unfunded_of_owner[attempt.owner][attempt_id]
        for name in _ending_on(attempt):
            self._stopping_on[name].discard(attempt_id)
        self.growable[attempt.gpu_class].pop(attempt_id, None)
        self._quota_ends[attempt.gpu_class].pop(attempt_id, None)
        buckets = self._buckets[self._place(attempt)]
        bucket = buckets.get(self.priority(attempt))
        if bucket is not None:
            bucket.remove(attempt)
            if bucket.is_empty:
                del buckets[bucket.priority]

    def protected_until(self, attempt: Attempt) -> Instant:
        """When its minimum runtime is over: from its start, and until then from its launch, so that pods that never start
        keep nobody out for ever. Unfunded work has none."""
        known = self._policy.priority_classes.get(attempt.priority_class)
        if known is None or not (attempt.is_funded and attempt.is_sheltered) or known.minimum_runtime_ms == 0:
            return Instant(0)
        since = attempt.launched_at if attempt.started_at is None else attempt.started_at
        return Instant(since + known.minimum_runtime_ms)

    def quota_ends(self, gpu_class: GpuClassName) -> Iterable[QuotaEnd]:
        """When those that count for the quota of a class give it back, by their time limits; in no order."""
        return self._quota_ends[gpu_class].values()

    def last_unfunded(self, owner: EngineerId) -> Instant:
        """When the owner last started unfunded work that still runs; 0 where none does."""
        return max(self._unfunded_of_owner[owner].values(), default=Instant(0))

    def buckets(self, gpu_class: GpuClassName, pool: PoolName | None) -> Iterable[Bucket]:
        """Attempts of the pool (None: unfunded ones, whosesoever) that may be preempted now, by priority."""
        return self._buckets.get((gpu_class, pool), {}).values()

    def buckets_below(self, gpu_class: GpuClassName, pool: PoolName, priority: int) -> Iterator[Bucket]:
        return (bucket for bucket in self.buckets(gpu_class, pool) if bucket.priority < priority)

    def work_lost(self, attempt: Attempt, now: Instant) -> int:
        """GPU-milliseconds since its last checkpoint, or its start, counted up to what a preemption refunds."""
        if attempt.started_at is None:
            return 0
        since = attempt.checkpointed_at if attempt.checkpointed_at is not None else attempt.started_at
        known = self._policy.priority_classes.get(attempt.priority_class)
        cap_ms = known.refund_cap_ms if known is not None else 0
        return min(max(0, now - since), cap_ms) * attempt.gpus

    def stopping_on(self, placement: Placement) -> int:
        """Attempts on these nodes that are being ended."""
        return len(set().union(*(self._stopping_on.get(name, ()) for name, _ in placement.pods_by_node)))

    def _may_ever_be_victim(self, attempt: Attempt) -> bool:
        if attempt.state not in {AttemptState.LAUNCHING, AttemptState.RUNNING} or attempt.booking_id is not None:
            return False
        known = self._policy.priority_classes.get(attempt.priority_class)
        return known is None or known.is_preemptible or not attempt.is_funded

    def _note_movable(self, attempt: Attempt) -> None:
        if (
            attempt.priority_class in self._policy.consolidation.priority_classes
            and attempt.checkpointed_at is not None
            and attempt.state is AttemptState.RUNNING
            and attempt.is_funded
            and attempt.placement.is_single_node
            and attempt.elastic is None
            and self._may_ever_be_victim(attempt)
        ):
            self.movable.put(attempt)
        else:
            self.movable.drop(attempt)

    @staticmethod
    def _place(attempt: Attempt) -> tuple[GpuClassName, PoolName | None]:
        return attempt.gpu_class, attempt.pool if attempt.is_funded else None

    def _count(self, attempt: Attempt, sign: int) -> None:
        gpus = (attempt.gpus + attempt.leaving_gpus) * sign
        self.gpus += gpus
        if not attempt.is_funded:
            self.unfunded_gpus_of_owner[attempt.owner] += gpus


def _ending_on(attempt: Attempt) -> Iterator[NodeName]:
    """Nodes where pods of it are being ended."""
    if attempt.state is AttemptState.STOPPING:
        yield from (name for name, _ in attempt.placement.pods_by_node)
    if attempt.leaving is not None:
        yield from (name for name, _ in attempt.leaving.pods_by_node)


def counts_for_quota(attempt: Attempt) -> bool:
    """Whether its GPUs are counted in its pool: unfunded work uses what nobody wants, and a victim gives back."""
    if not attempt.is_funded:
        return False
    return not (attempt.state is AttemptState.STOPPING and attempt.stop_reason is Reason.PREEMPTED)


_but_checkpoint = attrgetter(*(each.name for each in fields(Attempt) if each.name != "checkpointed_at"))
_BELOW_ALL = -(2**62)
