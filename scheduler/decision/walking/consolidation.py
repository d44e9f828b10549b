"""Consolidation: moves of running work that let a gang start which nothing but fragments keeps waiting.

Asked for only where nothing else helps: enough GPUs are free, there is quota and money, and neither waiting for what is
stopping nor preemption makes room. Here stand who asks, who may be moved and who pays; which moves those are, in
`walking/shifts.py`. Why that comes to rest and starves nobody: docs/adr/0021-consolidation.md.
"""

import numpy as np

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import Lane, Line
from scheduler.decision.placing.ends import could_start_after, kept_until
from scheduler.decision.placing.movable import COMPARED_EVERY_MS, compared_at
from scheduler.decision.plan import Victim
from scheduler.decision.preempting.found import Found, Move
from scheduler.decision.preempting.rules import Rule
from scheduler.decision.walking.movers import Mover, book, line_of, movers, relaunch, unbook
from scheduler.decision.walking.shifts import Gang, Shift, cheapest
from scheduler.decision.walking.starts import Starts
from scheduler.decision.walking.triage import fund_line
from scheduler.domain.cluster import Placement
from scheduler.domain.funding import FundingShare, Shortfall
from scheduler.domain.units import GpuClassName, Instant
from scheduler.domain.wording import counted

MOVES_AT_ONCE = 8
"""While so many moves are under way, none is begun: however many gangs wait, a cycle stays short (a search costs
milliseconds per thousand nodes), and the next plans no more until what was moved runs again."""
SEARCHES_MAX = 8
"""Searches for one gang, each without those whose second start could not be paid for in the one before."""


class Consolidation:
    """The moves of one cycle, and what its searches have in common."""

    def __init__(self, index: Index, starts: Starts) -> None:
        self._index, self._starts = index, starts
        self._is_allowed = bool(index.policy.consolidation.priority_classes)
        self._movers: dict[GpuClassName, list[Mover]] = {}

    def find_moves(self, lane: Lane, line: Line) -> Found | None:
        """The moves that make room for one workload of the lane, which is the first to wait for its room; None where
        there are none, or none are needed, or enough is being moved already."""
        if not self._is_allowed:
            return None
        index, starts = self._index, self._starts
        for gpu_class in lane.key.gpu_classes if self._under_way() < MOVES_AT_ONCE else ():
            if starts.backfill.is_awaited(gpu_class) or index.quotas.free(lane.key.pool, gpu_class) < lane.gpus:
                continue
            room = index.capacity.changes[gpu_class]
            if index.running.movable.is_fruitless(gpu_class, _wanted(lane, line), room, index.now):
                continue
            own = fund_line(index, line, gpu_class)
            gang = Gang(index, starts, lane, line, gpu_class)
            if gang.is_scattered() and not isinstance(own, Shortfall):
                candidates = self._candidates(gpu_class, line)
                gang.look_ahead(kept_until((mover.attempt for mover in candidates), index.now))
                found = self._search(gang, own, candidates)
                if found is not None:
                    return found
        return None

    def _under_way(self) -> int:
        """Moves that this cycle plans, and those of before that have not started again."""
        planned = sum(len(preemption.moves) for preemption in self._starts.preemptions)
        return planned + sum(reservation.is_move for reservation in self._index.reservations.values())

    def _candidates(self, gpu_class: GpuClassName, line: Line) -> list[Mover]:
        """Who may be moved for it, the cheapest first: of no higher priority, and not chosen in this cycle before."""
        known = self._movers.get(gpu_class)
        if known is None:
            known = self._movers[gpu_class] = movers(self._index, gpu_class)
        taken, now = self._starts.planned.victims, self._index.now
        free = [each for each in known if each.priority <= line.priority and each.attempt.id not in taken]
        return [each for each in free if could_start_after(each.attempt, line.spec, now)]

    def _search(self, gang: Gang, own: tuple[FundingShare, ...], candidates: list[Mover]) -> Found | None:
        for tried in range(SEARCHES_MAX):
            shifts = cheapest(gang, candidates) if gang.could_fit(candidates) else None
            if shifts is None:
                if not tried:
                    self._remember(gang, candidates)
                return None
            found = _funded(gang, own, shifts)
            if isinstance(found, Found):
                return found
            candidates = self._paying(gang, own, candidates, found)
        return None

    def _remember(self, gang: Gang, candidates: list[Mover]) -> None:
        """No moves help it, neither now nor until something is another that was looked at. Room that bookings keep
        depends on the time: beside them it is looked for again."""
        index, gpu_class = self._index, gang.gpu_class
        if not index.bookings.of_class(gpu_class):
            until = min([compared_at(index.now) + COMPARED_EVERY_MS, *(mover.until for mover in candidates)])
            room, wanted = index.capacity.changes[gpu_class], _wanted(gang.lane, gang.line)
            index.running.movable.found_nothing(gpu_class, wanted, room, Instant(until))

    def _paying(
        self, gang: Gang, own: tuple[FundingShare, ...], candidates: list[Mover], short: Mover
    ) -> list[Mover]:
        """Without those whose second start cannot be paid for beside the gang's own; where each alone can be, without
        all of who could not pay for as many as were chosen."""
        book(self._index, gang.gpu_class, gang.line, own)
        paying = [each for each in candidates if relaunch(self._index, each, each.attempt.placement) is not None]
        unbook(self._index, gang.gpu_class, gang.line, own)
        return [each for each in paying if each.payer != short.payer] if short in paying else paying


def _wanted(lane: Lane, line: Line) -> object:
    """All that a search looks at of who waits."""
    return lane.key, line.priority


def _funded(gang: Gang, own: tuple[FundingShare, ...], shifts: list[Shift]) -> Found | Mover:
    """The moves with the hours that pay for them beside the gang's own; the mover whose owner has not got them, or is held
    back by a spend guard."""
    index, table = gang.index, gang.table
    starts = [(gang.line, own)]
    moves: list[Move] = []
    book(index, gang.gpu_class, *starts[0])
    for shift in shifts:
        launch = relaunch(
            index, shift.mover, Placement(((table.names[shift.to], shift.mover.attempt.placement.pods),))
        )
        if launch is None:
            break
        starts.append((line_of(index, shift.mover), launch.funding))
        moves.append(Move(shift.mover.attempt, launch))
        book(index, gang.gpu_class, *starts[-1])
    for each in starts:
        unbook(index, gang.gpu_class, *each)
    return _found(gang, shifts, moves) if len(moves) == len(shifts) else shifts[len(moves)].mover


def _found(gang: Gang, shifts: list[Shift], moves: list[Move]) -> Found:
    table, rows, pods = gang.table, gang.room.rows.copy(), gang.lane.key.pods
    for shift in shifts:
        rows[:, shift.origin] += np.array(gang.freed(shift.mover))
        rows[:, shift.to] -= np.array(gang.taken(shift.mover))
    placement = table.placement(gang.row, gang.room.counts(gang.row, rows), pods)
    assert placement is not None, "with the moves made it fits"
    victims = [
        Victim(
            shift.mover.attempt.id,
            shift.mover.attempt.workload_id,
            Rule.CONSOLIDATION.value,
            f"moved to {table.names[shift.to]}, so that {pods} × {counted(gang.lane.key.shape.pod.gpus, 'GPU')} fit",
        )
        for shift in shifts
    ]
    return Found(gang.gpu_class, placement, tuple(victims), tuple(move.attempt for move in moves), tuple(moves))
