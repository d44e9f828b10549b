"""Telling: from rulings on lines and lanes to a verdict on every workload, and which of them changed.

Of those in a pool that wait for the room of a GPU class, the first is told `Resources` and all behind it
`Priority`, with the first's name: Slurm's meaning of the two.
"""

from collections.abc import Iterable, Iterator

from scheduler.decision import evidence
from scheduler.decision.index import Index
from scheduler.decision.ordering.lanes import Queue
from scheduler.decision.ordering.queue import Lane, Line, Ruling
from scheduler.decision.plan import Verdict
from scheduler.decision.walking.triage import lane_ruling
from scheduler.decision.walking.walk import Walk
from scheduler.domain.units import WorkloadId


class Teller:
    """What every queued workload was last told. Lives as long as the state."""

    def __init__(self) -> None:
        self.verdicts: dict[WorkloadId, Verdict] = {}
        self._alone: dict[WorkloadId, Ruling] = {}
        """Those whose verdict is not that of their line, as of the last cycle."""
        self._first: dict[Queue, WorkloadId] = {}

    def forget(self, workload_id: WorkloadId) -> None:
        """It waits no more."""
        self.verdicts.pop(workload_id, None)

    def forget_queues(self) -> None:
        """Who is first of which is found anew, in an index that is new."""
        self._first.clear()

    def tell(self, index: Index, walk: Walk, lanes: Iterable[Lane], lines: Iterable[Line]) -> tuple[Verdict, ...]:
        """Verdicts that changed, in the order of their workloads' ids. `lanes` and `lines` are those judged."""
        changed: dict[WorkloadId, Verdict] = {}
        again = [*self._alone, *walk.starts.alone, *index.unheard, *self._find_first(index)]
        self._alone = dict(walk.starts.alone)
        to_tell = dict.fromkeys(lines)
        for lane in lanes:
            to_tell.update(dict.fromkeys(_to_hear(lane)))
        for line in to_tell:
            self._tell_line(index, line, changed)
        for workload_id in again:
            self._tell_one(index, workload_id, changed)
        return tuple(changed[workload_id] for workload_id in sorted(changed))

    def ruling(self, index: Index, workload_id: WorkloadId) -> Ruling | None:
        """What is true of a queued workload now, with fresh evidence; None for one that does not wait."""
        alone = self._alone.get(workload_id)
        if alone is not None:
            return alone
        claim = index.claims.of.get(workload_id)
        if claim is not None:
            workload, reservation = claim
            victims = index.running.stopping_on(reservation.placement)
            return evidence.awaiting_preemption(workload.spec.at_minimum, reservation.gpu_class, victims)
        if workload_id in index.held_back:
            return evidence.held_back(index.queued[workload_id], index.now)
        line = index.lines.line_of(workload_id)
        if line is None:
            return None
        if line.ruling is not None or line.lane is None:
            return line.ruling
        withheld = line.lane.withheld_from(line)
        if withheld is not None:
            return withheld.rule_on(line)
        ahead = self._ahead_of(index, line.lane, workload_id)
        return lane_ruling(index, line.lane) if ahead is None else evidence.priority(ahead[0], ahead[1], line)

    def _ahead_of(self, index: Index, lane: Lane, workload_id: WorkloadId) -> tuple[WorkloadId, Line] | None:
        """Who is first of those that wait for the room that its lane waits for, if somebody else is."""
        if lane.blocked_class is None:
            return None
        first = self._first.get((lane.key.pool, lane.blocked_class))
        if first is None or first == workload_id:
            return None
        line = index.lines.line_of(first)
        return (first, line) if line is not None else None

    def _find_first(self, index: Index) -> list[WorkloadId]:
        """Whoever became first of those that wait for a class, and whoever was."""
        concerned: list[WorkloadId] = []
        for queue in sorted(index.lanes.touched):
            lane = index.lanes.first_waiting(queue)
            first = lane.first_waiting[3] if lane is not None and lane.first_waiting is not None else None
            before = self._first.pop(queue, None)
            if first is not None:
                self._first[queue] = first
            if first != before:
                concerned.extend(known for known in (before, first) if known is not None)
        index.lanes.touched.clear()
        return concerned

    def _tell_line(self, index: Index, line: Line, changed: dict[WorkloadId, Verdict]) -> None:
        if line.ruling is not None:
            reason = line.ruling.reason
        elif line.lane is None or (of_lane := line.lane.telling().of(line.lasts_ms)) is None:
            return  # all of it is launching: each is told so alone
        else:
            reason = of_lane
        if reason is not line.told:
            line.told = reason
            line.newcomers.clear()
            for _, workload_id in line.members:
                self._tell_one(index, workload_id, changed)
        elif line.newcomers:
            newcomers, line.newcomers = line.newcomers, []
            for workload_id in newcomers:
                self._tell_one(index, workload_id, changed)

    def _tell_one(self, index: Index, workload_id: WorkloadId, changed: dict[WorkloadId, Verdict]) -> None:
        ruling = self.ruling(index, workload_id)
        if ruling is None:
            return
        told = self.verdicts.get(workload_id)
        if told is None or told.reason is not ruling.reason:
            verdict = Verdict(workload_id, ruling.reason, ruling.evidence)
            self.verdicts[workload_id] = changed[workload_id] = verdict


def _to_hear(lane: Lane) -> Iterator[Line]:
    """Lines of a lane that are to be told something else than the last time."""
    before, lane.told = lane.told, lane.telling()
    if lane.told != before:
        for lasts_ms, lines in lane.by_length.items():
            if before is None or before.of(lasts_ms) is not lane.told.of(lasts_ms):
                yield from (line for _, line in lines)
