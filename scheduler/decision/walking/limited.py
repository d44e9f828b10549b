"""Lines of whoever stands at the limit of GPUs: what becomes of them when their owner falls below it, and reaches it again.

Whoever ends one thing has hundreds of lines that fit again, of which one starts. None of the others is looked at more
closely than it takes. And whoever a cycle brings to the limit is told so in it, who is short of hours or waits for room as
well: they would else hear of that, and of the limit again in the next.
"""

from collections.abc import Hashable, Sequence

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import LaneKey, Line, Party, Ruling
from scheduler.decision.placing.planned import NOTHING_PLANNED
from scheduler.decision.walking.triage import judge_line, lacks_hours, means_of, over_own_limit
from scheduler.decision.walking.walk import Walk
from scheduler.domain.reasons import Reason
from scheduler.domain.units import GpuClassName

_Wish = tuple[Party, Hashable, tuple[GpuClassName, ...]]


def fit_again(index: Index) -> list[Line]:
    """Of lines that stand aside for their owner's limit or hours and are to be judged anew, those that the limit allows
    now. The others stay aside, and most do: whoever may start one thing more has dozens of lines, of which one starts."""
    _look_again(index)
    limits: dict[tuple[Party, int], Ruling | None] = {}
    fitting: list[Line] = []
    for line in [line for line in index.dirty_lines if _is_aside(index, line)]:
        alike = (line.party, line.gpus)
        if alike not in limits:
            limits[alike] = over_own_limit(index, line, NOTHING_PLANNED)
        ruling = limits[alike]
        if ruling is None:
            fitting.append(line)
        elif line.told is ruling.reason:
            line.ruling, line.paid = ruling, None
            del index.dirty_lines[line]
    return fitting


def _look_again(index: Index) -> None:
    """Have those judged anew that the last cycle did not come to, where what it was to start instead is not recorded."""
    for held in index.sent_away:
        lines = [line for line, _ in held.left() if line.members]
        if lines and over_own_limit(index, lines[0], NOTHING_PLANNED) is None:
            index.dirty_lines.update(dict.fromkeys(lines))
    index.sent_away.clear()


def _is_aside(index: Index, line: Line) -> bool:
    """Whether it stands aside for its owner's limit or hours, and where it may run is known."""
    ruling = line.ruling
    if ruling is None or ruling.reason not in _OF_ITS_OWNER or line.lane is not None:
        return False
    return bool(line.members) and line.costs_as_of == index.nodes_taken


_OF_ITS_OWNER = frozenset({Reason.ENGINEER_GPU_LIMIT, Reason.ALLOWANCE_SHORT})


class Fitting:
    """Lines that their owner's limit allows again, judged."""

    def __init__(self, index: Index, lines: Sequence[Line]) -> None:
        self._index = index
        self.coming: list[tuple[Line, LaneKey]] = []
        """Those that belong in lanes, with the keys of these."""
        self._short: list[Line] = []
        """Those short of hours on each of their classes; what they are told is seen when all have started."""
        self._spendable: dict[_Wish, tuple[int, int]] = {}
        self._standings: dict[tuple[Party, bool], int] = {}
        is_plain = not index.spending.guards and index.policy.limits.gpus_per_team is None
        for line in lines:
            if not (is_plain and line.array is None and self._judge_by_hours(line)):
                key = judge_line(index, line)
                if key is not None:
                    self.coming.append((line, key))

    def _judge_by_hours(self, line: Line) -> bool:
        """What `judge_line` does, where hours alone can be in the way and there are enough on each class, or on none."""
        key, terms = line.full_key, line.priority_class
        assert key is not None, "where it may run is known"
        assert terms is not None, "without a class it may run nowhere"
        wish = (line.party, line.use, key.gpu_classes)
        known = self._spendable.get(wish)
        if known is None:
            known = self._spendable[wish] = _spendable_on_each(self._index, line)
        least, most = known
        if line.dearest <= least:
            self.coming.append((line, key))
        elif line.cheapest > most and not terms.may_start_unfunded:
            line.paid = ()
            self._short.append(line)
        else:
            return False
        seat = (line.party, line.is_aged)
        if seat not in self._standings:
            self._standings[seat] = self._index.standing(line)
        line.standing = self._standings[seat]
        return True

    def tell_short(self, walk: Walk) -> None:
        """Those that are short of hours are told so, or of the limit, where the cycle's starts reach it."""
        limits: dict[tuple[Party, int], Ruling | None] = {}
        for line in self._short:
            alike = (line.party, line.gpus)
            if alike not in limits:
                limits[alike] = over_own_limit(self._index, line, walk.starts.planned)
            limited = limits[alike]
            line.ruling = limited or lacks_hours(self._index, line)
            if limited is not None:
                walk.set_aside.append(line)


def _spendable_on_each(index: Index, line: Line) -> tuple[int, int]:
    """The least and the most that its party can spend on one of its classes; where some of that is not in standard time, so
    that neither says anything of it."""
    each = [means_of(index, line, name).spendable for name, _ in line.costs]
    known = [spendable for spendable in each if spendable is not None]
    return (min(known), max(known)) if len(known) == len(each) else (-1, _NO_END)


_NO_END = 2**63


def tell_limits(index: Index, walk: Walk) -> None:
    """Those that no limit forbade to start, or that are short of hours, and whose owner this cycle's starts have brought to
    the limit are told of that, as they will be in the next."""
    planned = walk.starts.planned
    for owner, gpus in planned.of_owner.items():
        used, limit = index.concurrency.gpus_of_owner.get(owner, 0), index.concurrency.gpu_limit(owner)
        rulings: dict[int, Ruling | None] = {}
        for line in index.lines.crossing_owner_limit(owner, limit, used, used + gpus):
            if line.ruling is None or line.ruling.reason in _OF_ITS_OWNER:
                if line.ruling is None or line.ruling.reason is Reason.ALLOWANCE_SHORT:
                    walk.set_aside.append(line)
                if line.gpus not in rulings:
                    rulings[line.gpus] = over_own_limit(index, line, planned)
                line.ruling = rulings[line.gpus]
