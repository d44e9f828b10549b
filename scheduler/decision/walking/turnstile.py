"""The turnstile: of an owner at the limit of GPUs, only those lines are let into lanes that may start before it is reached.

Whoever stands at the limit and ends something has dozens of lines that would fit again, one by one; the first starts, and
the others are set aside as before. To put each into its lane, serve it there and take it out again was a tenth of a
replay's time. What is held back here changes nothing: it is only held where its turn would come to being told of the limit
or of hours that are used up, and to nothing else; where it turns out that it would not, everybody is let in and the cycle
is served anew.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heapreplace

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import LaneKey, Line, Party, Ruling
from scheduler.decision.walking.triage import NOTHING, is_open, lane_lacks, means_of, over_limit, payers_of
from scheduler.decision.walking.walk import Walk
from scheduler.domain.allowances import HolderKind
from scheduler.domain.brakes import Brake
from scheduler.domain.policy import Order
from scheduler.domain.reasons import Reason
from scheduler.domain.units import EngineerId, PoolName, WorkloadId

Coming = tuple[Line, LaneKey]
"""A line that stands in no lane, and the key of the one that it belongs to."""


class Turnstile:
    """One cycle's: what it lets in and what it holds back."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._held: list[Coming] = []
        self._is_only_pool = False
        self._crowds: set[EngineerId] = set()
        """Owners of those held back."""
        self._expected: set[WorkloadId] = set()
        """What they have in line up to the last that was expected to start: those held back come after it."""

    def admit(self, coming: Sequence[Coming]) -> None:
        """Put lines into their lanes, but for those that can wait before it."""
        if len(coming) < 2 or not self._is_quiet():
            self._let_in(coming)
            return
        by_pool: dict[PoolName, list[Coming]] = {}
        owners: dict[PoolName, set[EngineerId]] = {}
        for each in coming:
            pool = each[1].pool
            if pool not in by_pool:
                by_pool[pool], owners[pool] = [], set()
            by_pool[pool].append(each)
            owners[pool].add(each[0].party.owner)
        self._is_only_pool = len(by_pool) == 1
        pools = Counter(owner for of_pool in owners.values() for owner in of_pool)
        for pool, together in by_pool.items():
            (owner, *others) = owners[pool]
            is_crowd = len(together) > 1 and not others and pools[owner] == 1
            self._let_in(self._first_few(owner, together) if is_crowd else together)

    def turn_away(self, walk: Walk) -> bool:
        """Set those aside that were held back, as the walk would have. False: who was let in has left one of them room
        under the limit, by not starting after all, and hours or the like, and nothing of the walk holds."""
        if self._held and any(self._overtakes(launch.workload_id) for launch in walk.starts.launches):
            return False
        limits: dict[tuple[Party, int], Ruling | None] = {}
        rulings: list[Ruling] = []
        for line, key in self._held:
            alike = (line.party, line.gpus)
            if alike not in limits:
                limits[alike] = over_limit(self._index, line, walk.starts.booked)
            ruling = limits[alike] or self._short_of_hours(walk, line, key)
            if ruling is None:
                return False
            rulings.append(ruling)
        for (line, _), ruling in zip(self._held, rulings, strict=True):
            line.ruling = ruling
            walk.set_aside.append(line)
        return True

    def _overtakes(self, workload_id: WorkloadId) -> bool:
        """Whether it has started though one that is held back may be before it."""
        return workload_id not in self._expected and self._index.queued[workload_id].owner in self._crowds

    def _short_of_hours(self, walk: Walk, line: Line, key: LaneKey) -> Ruling | None:
        """What its owner's starts have left of hours, where that is too little for it and was so at its turn: what is open
        at the end was open then, and nobody else books on what would pay for it."""
        index, starts, gpu_class = self._index, walk.starts, key.gpu_classes[0]
        if starts.keeps_room or starts.preemptions or not is_open(index, key, line.gpus, gpu_class):
            return None
        if any(each.allowance.holder.kind is not HolderKind.ENGINEER for each in payers_of(index, line, gpu_class)):
            return None
        ruling = walk.short_of_hours(line, gpu_class)
        return ruling if ruling is not None and ruling.reason is Reason.ALLOWANCE_SHORT else None

    def let_everybody_in(self) -> None:
        """Those that were held back are to be served, too."""
        self._let_in(self._held)
        self._held = []

    def _let_in(self, coming: Iterable[Coming]) -> None:
        index = self._index
        for line, key in coming:
            index.dirty_lanes[index.lanes.join(line, key)] = None

    def _is_quiet(self) -> bool:
        """Whether nothing is kept for anybody, and nobody waits for room or quota: then a line that is set aside at its
        turn is nothing to anybody else."""
        index = self._index
        return (
            not index.lanes.standing
            and not index.reservations
            and not index.bookings.attempts
            and not any(index.running.growable.values())
            and not index.policy.consolidation.priority_classes
            and index.pause(Brake.LAUNCH) is None
        )

    def _first_few(self, owner: EngineerId, together: list[Coming]) -> list[Coming]:
        """Of an owner who is alone in a pool: those up to the last that fits under the limit and into their hours, if all
        before it that do have started. Pools compete by who is first in each, so that beside another pool nobody who starts
        may come after one that is held back; nor may they be sent there by their owner's starts."""
        index = self._index
        limit = index.concurrency.gpu_limit(owner)
        if limit is None or not _are_in_order(together):
            return together
        turns = [(line.order_key(), 0, number) for number, (line, _) in enumerate(together)]
        heapify(turns)
        left = limit - index.concurrency.gpus_of_owner.get(owner, 0)
        least, spent, first = min(line.gpus for line, _ in together), 0, set[int]()
        passed: list[tuple[int, WorkloadId]] = []
        """Those since the last that is going to start."""
        is_sent_back = False
        while turns and least <= left:
            _, position, number = turns[0]
            line, key = together[number]
            passed.append((number, line.members[position][1]))
            if line.gpus <= left and (needed := self._pays(line, key, spent)) is not None:
                if is_sent_back and not self._is_only_pool:
                    return together
                left -= line.gpus
                spent += needed
                is_sent_back = is_sent_back or line.order is not Order.FIFO
                first.update(each for each, _ in passed)
                self._expected.update(each for _, each in passed)
                passed.clear()
            if position + 1 < len(line.members) and line.gpus <= left:
                heapreplace(turns, (line.order_key(position + 1), position + 1, number))
            else:
                heappop(turns)
        rest = [each for number, each in enumerate(together) if number not in first]
        wanted = {key: line.gpus for line, key in rest}  # most want the same
        if not all(lane_lacks(index, key, gpus) is NOTHING for key, gpus in wanted.items()):
            return together
        self._held += rest
        self._crowds.add(owner)
        return [together[number] for number in sorted(first)]

    def _pays(self, line: Line, key: LaneKey, spent: int) -> int | None:
        """What one workload of it takes of its owner's hours, after so much that they spend before it; None where they are
        not going to have it. Whoever is taken for somebody who starts, and does not, is seen when they are turned away."""
        gpu_class = key.gpu_classes[0]
        needed = next(need.standard for name, need in line.costs if name == gpu_class)
        means = means_of(self._index, line, gpu_class)
        return needed if means.spendable is None or spent + needed <= means.spendable else None


def _are_in_order(together: list[Coming]) -> bool:
    """Whether the limit alone is between them, and none overtakes another as their owner's starts send them back: what has
    aged goes first and is not sent back, and the others are by the same amount."""
    if not all(key.is_funded and line.gpus > 0 and line.array is None for line, key in together):
        return False
    return len({(line.order, line.importance) for line, _ in together if not line.is_aged}) <= 1
