"""The turnstile: of an owner at the limit of GPUs, only those lines are let into lanes that may start before it is reached.

Whoever stands at the limit and ends something has dozens of lines that would fit again, one by one; the first starts, and
the others are set aside as before. To put each into its lane, serve it there and take it out again was a tenth of a
replay's time. What is held back here changes nothing: it is only held where its turn would come to being told of the limit
and to nothing else, and where it turns out that it would not, everybody is let in and the cycle is served anew.
"""

from collections.abc import Iterable, Sequence

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import LaneKey, Line
from scheduler.decision.walking.triage import NOTHING, lane_lacks, over_limit
from scheduler.decision.walking.walk import Walk
from scheduler.domain.brakes import Brake
from scheduler.domain.policy import Order
from scheduler.domain.units import EngineerId, PoolName

Coming = tuple[Line, LaneKey]
"""A line that stands in no lane, and the key of the one that it belongs to."""


class Turnstile:
    """One cycle's: what it lets in and what it holds back."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._held: list[Coming] = []
        self._is_only_pool = False
        self._is_open: dict[LaneKey, bool] = {}

    def admit(self, coming: Sequence[Coming]) -> None:
        """Put lines into their lanes, but for those that can wait before it."""
        if len(coming) < 2 or not self._is_quiet():
            self._let_in(coming)
            return
        by_pool: dict[PoolName, list[Coming]] = {}
        pools: dict[EngineerId, set[PoolName]] = {}
        for each in coming:
            by_pool.setdefault(each[1].pool, []).append(each)
            pools.setdefault(each[0].owner, set()).add(each[1].pool)
        self._is_only_pool = len(by_pool) == 1
        for together in by_pool.values():
            owner = together[0][0].owner
            is_crowd = (
                len(together) > 1 and len(pools[owner]) == 1 and all(line.owner == owner for line, _ in together)
            )
            self._let_in(self._first_few(owner, together) if is_crowd else together)

    def turn_away(self, walk: Walk) -> bool:
        """Set those aside that were held back, as the walk would have. False: who was let in has left one of them room
        under the limit, by not starting after all, and nothing of the walk holds."""
        limits = [over_limit(self._index, line, walk.starts.booked) for line, _ in self._held]
        if None in limits:
            return False
        for (line, _), limit in zip(self._held, limits, strict=True):
            line.ruling = limit
            walk.set_aside.append(line)
        return True

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
        """Of an owner who is alone in a pool: those up to the last that fits under the limit, if all before it that fit
        have started. Pools compete by who is first in each, so that beside another pool nobody who starts may come after
        one that is held back; nor may they be sent there by their owner's starts."""
        index = self._index
        limit = index.concurrency.gpu_limit(owner)
        if limit is None or not _are_in_order(together):
            return together
        left = limit - index.concurrency.gpus_of_owner.get(owner, 0)
        turns = sorted(
            (line.order_key(position), number)
            for number, (line, _) in enumerate(together)
            for position in range(min(len(line.members), left // line.gpus))
        )
        through, is_sent_back = 0, False
        for turn, (_, number) in enumerate(turns):
            line = together[number][0]
            if line.gpus <= left:
                if is_sent_back and not self._is_only_pool:
                    return together
                left -= line.gpus
                through, is_sent_back = turn + 1, is_sent_back or line.order is not Order.FIFO
        first = {number for _, number in turns[:through]}
        rest = [each for number, each in enumerate(together) if number not in first]
        if not all(self._lacks_nothing(key, line.gpus) for line, key in rest):
            return together
        self._held += rest
        return [together[number] for number in sorted(first)]

    def _lacks_nothing(self, key: LaneKey, gpus: int) -> bool:
        known = self._is_open.get(key)
        if known is None:
            known = self._is_open[key] = lane_lacks(self._index, key, gpus) is NOTHING
        return known


def _are_in_order(together: list[Coming]) -> bool:
    """Whether the limit alone is between them, and none overtakes another as their owner's starts send them back: what has
    aged goes first and is not sent back, and the others are by the same amount."""
    if not all(key.is_funded and line.gpus > 0 and line.array is None for line, key in together):
        return False
    return len({(line.order, line.importance) for line, _ in together if not line.is_aged}) <= 1
