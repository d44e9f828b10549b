"""The turnstile: where an owner has a limit of GPUs, lines come to their lane when it is their turn, and not before.

Whoever stands at the limit of GPUs and ends something has hundreds of lines that would fit again; the first starts, and
then the limit is reached again. To put each into its lane, serve it there and take it out again was over half of what a
month's busiest days took. Lines for which there is room wait for their turn instead, and those that the limit does not
come to are what they were, unseen. What is in the others' way is found at their turn, as ever.
"""

from collections.abc import Hashable, Sequence

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import LaneKey, Line, Member
from scheduler.decision.ordering.turns import Coming, Held
from scheduler.decision.walking.triage import NOTHING, allow, lane_lacks
from scheduler.domain.brakes import Brake
from scheduler.domain.units import GpuClassName


class Turnstile:
    """One cycle's: what it lets in and what it holds back."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.held: list[Held] = []
        self.gpu_classes: set[GpuClassName] = set()
        """Those on which something that is held back may start."""

    def admit(self, coming: Sequence[Coming]) -> None:
        """Have those wait for their turn for which there is room. Of those who want the same and have none, or who want
        the same as others that stand in a lane, the first goes there."""
        if not self._is_quiet():
            for line, key in coming:
                self._let_in(line, key)
            return
        gpu_limit = self._index.concurrency.gpu_limit
        is_open: dict[LaneKey, bool] = {}
        held: list[Coming] = []
        others: list[Coming] = []
        for line, key in coming:
            if not key.is_funded or gpu_limit(line.party.owner) is None:
                self._let_in(line, key)
                continue
            if key not in is_open:
                is_open[key] = self._is_open(line, key)
            (held if is_open[key] else others).append((line, key))
        firsts: set[LaneKey] = set()
        for _, line, key in sorted((line.order_key(), line, key) for line, key in others):
            if key in firsts:
                held.append((line, key))
            else:
                firsts.add(key)
                self._let_in(line, key)
        self.held = _together(held)
        self.gpu_classes.update(name for key, has_room in is_open.items() if has_room for name in key.gpu_classes)

    def _is_open(self, line: Line, key: LaneKey) -> bool:
        """Whether nobody stands in such a lane, and there is room and quota for one."""
        lane = self._index.lanes.known(key)
        return (lane is None or not lane.lines) and lane_lacks(self._index, key, line.gpus) is NOTHING

    def _let_in(self, line: Line, key: LaneKey) -> None:
        allow(line, key)
        self._index.dirty_lanes[self._index.lanes.join(line, key)] = None

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


def _together(held: Sequence[Coming]) -> list[Held]:
    """Those that have their turns together, in their order: their places differ in their age alone."""
    alike: dict[Hashable, list[tuple[Member, Line, LaneKey]]] = {}
    for line, key in held:
        seat = (line.party, line.gpus, line.rank, line.importance)
        alike.setdefault(seat, []).append((line.members[0], line, key))
    return [Held([(line, key) for _, line, key in sorted(lines)]) for lines in alike.values()]
