"""The turnstile: where an owner has a limit of GPUs, lines come to their lane when it is their turn, and not before.

Whoever stands at the limit of GPUs and ends something has hundreds of lines that would fit again, one by one; the first
starts, and by the turn of each other the limit is reached again. To put each into its lane, serve it there and take it out
again was over a quarter of what a month's busiest first day took. Of those who want the same only the first stands in the
lane from the beginning, so that it is judged by that one; what is in the others' way is seen at their turn, as ever.
"""

from collections.abc import Hashable, Sequence

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import Lane, LaneKey, Line
from scheduler.decision.ordering.turns import Held
from scheduler.domain.brakes import Brake

Coming = tuple[Line, LaneKey]
"""A line that stands in no lane, and the key of the one that it belongs to."""


class Turnstile:
    """One cycle's: what it lets in and what it holds back."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.held: list[Held] = []

    def admit(self, coming: Sequence[Coming]) -> None:
        """Put the first of each lane into it, and have the others wait for their turn."""
        if not self._is_quiet():
            for line, key in coming:
                self._let_in(line, key)
            return
        firsts: dict[LaneKey, Lane] = {}
        behind: dict[Hashable, list[tuple[Line, Lane]]] = {}
        for _, line, key in sorted((line.order_key(), line, key) for line, key in coming):
            lane = firsts.get(key)
            if lane is not None and key.is_funded and self._index.concurrency.gpu_limit(line.party.owner) is not None:
                alike = (line.party.owner, key.pool, line.rank, line.importance)
                behind.setdefault(alike, []).append((line, lane))
            else:
                firsts[key] = self._let_in(line, key)
        self.held = [Held(lines) for lines in behind.values()]

    def _let_in(self, line: Line, key: LaneKey) -> Lane:
        lane = self._index.lanes.join(line, key)
        self._index.dirty_lanes[lane] = None
        return lane

    def _is_quiet(self) -> bool:
        """Whether nobody looks at those that stand in a lane but at their turn: nobody may stop others for its age, nothing
        grows or is moved, and nothing starts but in turn."""
        index = self._index
        return (
            not index.bookings.attempts
            and not any(index.running.growable.values())
            and not index.policy.consolidation.priority_classes
            and not any(terms.preemption_delay_ms for terms in index.policy.priority_classes.values())
            and index.pause(Brake.LAUNCH) is None
        )
