"""The turnstile: of an owner at the limit of GPUs, only those lines are let into lanes that may start before it is reached.

Whoever stands at the limit and ends something has hundreds of lines that would fit again, one by one; the first starts,
and the others are set aside as before. To put each into its lane, serve it there and take it out again was over a quarter
of what a month's busiest first day took. What is held back here changes nothing: it is only held where its turn would come
to being told of the limit or of hours that are used up, and to nothing else; where one of them would have had another turn
all are let in, and the cycle is served anew. Why that is all: docs/adr/0010-lines-and-lanes.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heapreplace

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import LaneKey, Line, OrderKey, Party, Ruling
from scheduler.decision.placing.shape import Shape
from scheduler.decision.walking.triage import is_open, means_of, over_limit, payers_of
from scheduler.decision.walking.walk import Walk
from scheduler.domain.allowances import HolderKind
from scheduler.domain.brakes import Brake
from scheduler.domain.reasons import Reason
from scheduler.domain.units import EngineerId, GpuClassName, PoolName, WorkloadId

Coming = tuple[Line, LaneKey]
"""A line that stands in no lane, and the key of the one that it belongs to."""


class Turnstile:
    """One cycle's: what it lets in and what it holds back."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._held: list[Coming] = []
        self._first_held: dict[EngineerId, tuple[OrderKey, Line]] = {}
        """Of the owners of those held back, the place of who is first of them, and who that is."""
        self._is_open_on: dict[tuple[PoolName, GpuClassName, Shape, int], bool] = {}
        """Whether one of so many pods of a shape could start on a class, as far as it was asked."""

    def admit(self, coming: Sequence[Coming]) -> None:
        """Put lines into their lanes, but for those that can wait before it."""
        if len(coming) < 2 or not self._is_quiet():
            self._let_in(coming)
            return
        by_owner: dict[EngineerId, list[Coming]] = {}
        for each in coming:
            by_owner.setdefault(each[0].party.owner, []).append(each)
        for owner, together in by_owner.items():
            self._let_in(self._first_few(owner, together) if len(together) > 1 else together)

    @property
    def classes(self) -> set[GpuClassName]:
        """GPU classes on which somebody could start who is held back."""
        return {gpu_class for _, key in self._held for gpu_class in key.gpu_classes}

    def turn_away(self, walk: Walk) -> bool:
        """Set those aside that were held back, as the walk would have. False: one of them might have had another turn, for
        who was let in has left it room under the limit, and hours or the like, by not starting after all; nothing of the
        walk holds, and all are to be let in."""
        if not self._held:
            return True
        if any(self._is_overtaken_by(workload_id) for workload_id in _starting(walk)):
            return False
        shut = {lane.key for lane in walk.cursors if lane in walk.closed or lane.withheld}
        limits: dict[tuple[Party, int], Ruling | None] = {}
        rulings: list[Ruling] = []
        for line, key in self._held:
            alike = (line.party, line.gpus)
            if alike not in limits:
                limits[alike] = self._own_limit(walk, line)
            ruling = limits[alike] or self._short_of_hours(walk, line, key)
            if ruling is None or key in shut:
                return False
            rulings.append(ruling)
        for (line, _), ruling in zip(self._held, rulings, strict=True):
            line.ruling = ruling
            walk.set_aside.append(line)
        return True

    def let_all_in(self) -> None:
        """One walk with somebody held back was in vain, and each takes a cycle's time: there is no second one."""
        self._let_in(self._held)
        self._held = []

    def _is_overtaken_by(self, workload_id: WorkloadId) -> bool:
        """Whether one of its owner's that is held back may be before it, which starts."""
        line, place = self._index.lines.line_of(workload_id), self._index.lines.place_of(workload_id)
        first = self._first_held.get(line.party.owner) if line is not None else None
        if line is None or place is None or first is None:  # what has a reservation was counted when it was made
            return False
        is_in_order = line.pool == first[1].pool and _are_sent_back_alike([line, first[1]])
        return not is_in_order or first[0] <= place

    def _own_limit(self, walk: Walk, line: Line) -> Ruling | None:
        """What its owner's limit says; a team's others may reach that of the team after its turn."""
        ruling = over_limit(self._index, line, walk.starts.planned)
        return ruling if ruling is not None and ruling.reason is Reason.ENGINEER_GPU_LIMIT else None

    def _short_of_hours(self, walk: Walk, line: Line, key: LaneKey) -> Ruling | None:
        """What its owner's starts have left of hours, where that is too little for it and was so at its turn: nobody else
        books on what would pay for it, and it would have started on that class, or have stopped others there."""
        index, starts, gpu_class = self._index, walk.starts, self._open_class(line, key)
        assert gpu_class is not None, "who waits for room or quota is not held back"
        if starts.keeps_room_from(line, gpu_class):
            return None
        if len(key.gpu_classes) > 1 and not self._is_open_yet(walk, line, key, gpu_class):
            return None
        if any(each.allowance.holder.kind is not HolderKind.ENGINEER for each in payers_of(index, line, gpu_class)):
            return None
        ruling = walk.short_of_hours(line, gpu_class)
        return ruling if ruling is not None and ruling.reason is Reason.ALLOWANCE_SHORT else None

    def _is_open_yet(self, walk: Walk, line: Line, key: LaneKey, gpu_class: GpuClassName) -> bool:
        """Whether it would have started on that class of several at any turn: what is open at the end of the walk was so
        all the time, and what was not at its beginning never was, but where somebody was stopped."""
        before = key.gpu_classes[: key.gpu_classes.index(gpu_class) + 1]
        is_stopped = any(preemption.launch.gpu_class in before for preemption in walk.starts.preemptions)
        return not is_stopped and is_open(self._index, key, line.gpus, gpu_class)

    def _let_in(self, coming: Iterable[Coming]) -> None:
        index = self._index
        for line, key in coming:
            index.dirty_lanes[index.lanes.join(line, key)] = None

    def _is_quiet(self) -> bool:
        """Whether a line that is set aside at its turn is nothing to anybody else: nobody may stop others for its age,
        nothing grows or is moved, and nothing starts but in turn."""
        index = self._index
        return (
            not index.bookings.attempts
            and not any(index.running.growable.values())
            and not index.policy.consolidation.priority_classes
            and not any(terms.preemption_delay_ms for terms in index.policy.priority_classes.values())
            and index.pause(Brake.LAUNCH) is None
        )

    def _first_few(self, owner: EngineerId, together: list[Coming]) -> list[Coming]:
        """Of an owner's lines in one pool: those up to the last that fits under the limit and into their hours, if all
        before it that do have started; and those that wait for room or quota, for they may be first to do so."""
        index = self._index
        limit = index.concurrency.gpu_limit(owner)
        if limit is None or not _are_in_order(together):
            return together
        turns = [(line.order_key(), 0, number) for number, (line, _) in enumerate(together)]
        places = [place for place, _, _ in turns]
        heapify(turns)
        left = limit - index.concurrency.gpus_of_owner.get(owner, 0)
        least, spent, first = min(line.gpus for line, _ in together), 0, set[int]()
        passed: list[int] = []
        """Those since the last that is going to start."""
        while turns and least <= left:
            _, position, number = turns[0]
            line, key = together[number]
            passed.append(number)
            if line.gpus <= left and (needed := self._pays(line, key, spent)) is not None:
                left -= line.gpus
                spent += needed
                first.update(passed)
                passed.clear()
            if position + 1 < len(line.members) and line.gpus <= left:
                heapreplace(turns, (line.order_key(position + 1), position + 1, number))
            else:
                heappop(turns)
        held = [number for number, each in enumerate(together) if number not in first and self._is_open(*each)]
        if not held:
            return together
        foremost = min(held, key=places.__getitem__)
        self._first_held[owner] = (places[foremost], together[foremost][0])
        self._held += (together[number] for number in held)
        first.update(range(len(together)))
        return [together[number] for number in first.difference(held)]

    def _is_open(self, line: Line, key: LaneKey) -> bool:
        """Whether quota and room would let a workload of it start, as the snapshot stands."""
        return self._open_class(line, key) is not None

    def _open_class(self, line: Line, key: LaneKey) -> GpuClassName | None:
        """The first class on which they would."""
        for gpu_class in key.gpu_classes:
            cell = (key.pool, gpu_class, key.shape, key.pods)
            known = self._is_open_on.get(cell)
            if known is None:
                known = self._is_open_on[cell] = is_open(self._index, key, line.gpus, gpu_class)
            if known:
                return gpu_class
        return None

    def _pays(self, line: Line, key: LaneKey, spent: int) -> int | None:
        """What one workload of it takes of its owner's hours, after so much that they spend before it; None where they are
        not going to have it, or room for it. Whoever is taken for somebody who starts, and does not, is seen when they are
        turned away."""
        if not self._is_open(line, key):
            return None
        gpu_class = key.gpu_classes[0]
        needed = next(need.standard for name, need in line.costs if name == gpu_class)
        means = means_of(self._index, line, gpu_class)
        return needed if means.spendable is None or spent + needed <= means.spendable else None


def _are_in_order(together: list[Coming]) -> bool:
    """Whether the limit alone is between them, and none overtakes another as their owner's starts send them back: what has
    aged goes first and is not sent back, and the others are by the same amount."""
    if not all(key.is_funded and line.gpus > 0 and line.array is None for line, key in together):
        return False
    if len({key.pool for _, key in together}) > 1:
        return False
    return _are_sent_back_alike(line for line, _ in together)


def _are_sent_back_alike(lines: Iterable[Line]) -> bool:
    return len({(line.order, line.importance) for line in lines if not line.is_aged}) <= 1


def _starting(walk: Walk) -> Iterator[WorkloadId]:
    """Who starts in the cycle, at once or when others have made room."""
    for launch in walk.starts.launches:
        yield launch.workload_id
    for preemption in walk.starts.preemptions:
        yield preemption.launch.workload_id
