"""Consolidation: moves of running work that let a gang start which nothing but fragments keeps waiting.

Asked for only where nothing else helps: enough GPUs are free, there is quota and money, and neither waiting for what is
stopping nor preemption makes room. Node by node the cheapest attempts are taken that give up room for one pod more and
have another node to go to right now, where they take nothing from the gang. Why that comes to rest and starves nobody:
docs/adr/0021-consolidation.md.
"""

from dataclasses import dataclass, field

import numpy as np

from scheduler.decision.index import Index
from scheduler.decision.keeping.ahead import RoomAhead, Rows
from scheduler.decision.keeping.bookings import Kept
from scheduler.decision.ordering.queue import Lane, Line
from scheduler.decision.placing.ends import could_start_after, kept_until, latest_end, latest_end_if_started
from scheduler.decision.placing.fit_table import FitTable, IntArray
from scheduler.decision.placing.movable import COMPARED_EVERY_MS, compared_at
from scheduler.decision.plan import Victim
from scheduler.decision.preempting.preemption import Found, Move
from scheduler.decision.preempting.victims import Rule
from scheduler.decision.walking.movers import Mover, line_of, movers, relaunch
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
            gang = _Gang(index, starts, lane, line, gpu_class)
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
        taken, now = self._starts.booked.victims, self._index.now
        free = [each for each in known if each.priority <= line.priority and each.attempt.id not in taken]
        return [each for each in free if could_start_after(each.attempt, line.spec, now)]

    def _search(self, gang: "_Gang", own: tuple[FundingShare, ...], candidates: list[Mover]) -> Found | None:
        for tried in range(SEARCHES_MAX):
            shifts = _cheapest(gang, candidates) if gang.could_fit(candidates) else None
            if shifts is None:
                if not tried:
                    self._remember(gang, candidates)
                return None
            found = _funded(gang, own, shifts)
            if isinstance(found, Found):
                return found
            candidates = self._paying(own, candidates, found)
        return None

    def _remember(self, gang: "_Gang", candidates: list[Mover]) -> None:
        """No moves help it, neither now nor until something is another that was looked at. Room that bookings keep
        depends on the time: beside them it is looked for again."""
        index, gpu_class = self._index, gang.gpu_class
        if not index.bookings.of_class(gpu_class):
            until = min([compared_at(index.now) + COMPARED_EVERY_MS, *(mover.until for mover in candidates)])
            room, wanted = index.capacity.changes[gpu_class], _wanted(gang.lane, gang.line)
            index.running.movable.found_nothing(gpu_class, wanted, room, Instant(until))

    def _paying(self, own: tuple[FundingShare, ...], candidates: list[Mover], short: Mover) -> list[Mover]:
        """Without those whose second start cannot be paid for beside the gang's own; where each alone can be, without
        all of who could not pay for as many as were chosen."""
        hours = self._index.hours
        hours.book(own)
        paying = [each for each in candidates if relaunch(self._index, each, each.attempt.placement) is not None]
        hours.unbook(own)
        return [each for each in paying if each.payer != short.payer] if short in paying else paying


def _wanted(lane: Lane, line: Line) -> object:
    """All that a search looks at of who waits."""
    return lane.key, line.priority


@dataclass(frozen=True, slots=True)
class _Shift:
    """A mover, and the node (by its position in the table) to which all its pods go."""

    mover: Mover
    origin: int
    to: int


class _Gang:
    """Who waits, in one GPU class, and the nodes as they will be once what is stopping has ended."""

    def __init__(self, index: Index, starts: Starts, lane: Lane, line: Line, gpu_class: GpuClassName) -> None:
        self.index, self.starts, self.lane, self.line, self.gpu_class = index, starts, lane, line, gpu_class
        self.table: FitTable = index.capacity.table(gpu_class)
        self.row = self.table.row(lane.key.shape)
        self.takes = self.table.taking(self.row)
        ask = lane.key.shape.topology
        self.domain = self.table.domains.level(ask.level).of_node if ask is not None and ask.is_required else None
        self.look_ahead(index.now)

    def look_ahead(self, starts_by: Instant) -> None:
        """See the room beside bookings, were it and whoever is moved for it to start then at the latest."""
        self.starts_by = starts_by
        self.room = RoomAhead(self.table, self.starts.backfill.kept(self.gpu_class, self.line.spec, starts_by))
        self.asked = self.room.asked(self.lane.key.shape.pod)
        self.counts = self.room.counts(self.row, self.room.rows)

    def is_scattered(self) -> bool:
        """Whether as many GPUs are free as it asks for, on nodes where it could go, and yet it does not fit."""
        free = int(np.maximum(self.room.gpus, 0)[self.takes].sum())
        return free >= self.lane.gpus and self.table.together(self.row, self.counts) < self.lane.key.pods

    def could_fit(self, candidates: list[Mover]) -> bool:
        """Whether it would if all of them were gone; cheap, so that a hopeless search ends here."""
        return self.table.together(self.row, self.counts_without(candidates)) >= self.lane.key.pods

    def counts_without(self, candidates: list[Mover]) -> IntArray:
        return self.room.counts(self.row, self.room.without(mover.attempt for mover in candidates))

    def freed(self, mover: Mover) -> Rows:
        """What it gives up where it is."""
        return self.room.until(latest_end(mover.attempt), mover.asked)

    def taken(self, mover: Mover) -> Rows:
        """What it takes where it goes: it starts anew, in what time it has."""
        return self.room.until(latest_end_if_started(mover.workload.spec, self.starts_by), mover.asked)

    def regions(self, candidates: list[Mover]) -> list[list[int]]:
        """The nodes to choose from: all, or, where its pods must stand in one domain, of each domain that could hold
        them."""
        if self.domain is None:
            return [np.flatnonzero(self.takes).tolist()]
        sums = np.bincount(self.domain, weights=self.counts_without(candidates))
        enough = np.flatnonzero(sums >= self.lane.key.pods).tolist()
        return [np.flatnonzero(self.takes & (self.domain == each)).tolist() for each in enough]


def _cheapest(gang: _Gang, candidates: list[Mover]) -> list[_Shift] | None:
    """Of all regions the moves that lose least work, then the fewest."""
    found: list[list[_Shift]] = []
    for region in gang.regions(candidates):
        shifts = _Search(gang, frozenset(region), candidates).run()
        if shifts is not None:
            found.append(shifts)
    return min(found, key=lambda shifts: (sum(each.mover.lost for each in shifts), len(shifts)), default=None)


@dataclass(frozen=True, slots=True)
class _Option:
    """Whom to move out of a node so that one pod more fits, and what is lost by it."""

    movers: list[Mover]
    lost: int
    node: int

    @property
    def cost(self) -> tuple[int, int, int]:
        return (self.lost, len(self.movers), self.node)


@dataclass(slots=True)
class _Search:
    """One look for moves out of the nodes of a region. Room is kept in plain numbers, of the nodes that it touches."""

    gang: _Gang
    region: frozenset[int]
    candidates: list[Mover]
    _shifts: list[_Shift] = field(default_factory=list)
    _room: dict[int, list[int]] = field(default_factory=dict)
    _on: dict[int, list[Mover]] = field(default_factory=dict)
    """Of each node of the region, who may be moved out of it."""
    _options: dict[int, _Option | None] = field(default_factory=dict)
    """Of each of them, whom to move so that one pod more fits."""

    def run(self) -> list[_Shift] | None:
        table, pods = self.gang.table, self.gang.lane.key.pods
        for mover in self.candidates:
            position = table.index.get(mover.node)
            if position is not None and position in self.region:
                self._on.setdefault(position, []).append(mover)
        for _ in range(self.gang.index.policy.consolidation.moves_max):
            step = self._next_step()
            if step is None:
                return None
            for shift in step:
                self._apply(shift)
            if self._fitting() >= pods:
                return self._reduced()
        return None

    def _next_step(self) -> list[_Shift] | None:
        """The cheapest moves that free room for another pod on one node, and for which there is room elsewhere."""
        left = self.gang.index.policy.consolidation.moves_max - len(self._shifts)
        for node in self._on:
            if node not in self._options:
                self._options[node] = self._option(node)
        options = (option for option in self._options.values() if option is not None and len(option.movers) <= left)
        for option in sorted(options, key=lambda option: option.cost):
            step = self._placed(option.node, option.movers)
            if step is not None:
                return step
        return None

    def _option(self, node: int) -> _Option | None:
        """The cheapest first until one pod more fits; then without those it still fits without, the dearest first."""
        moved = {shift.mover.attempt.id for shift in self._shifts if shift.origin == node}
        before, room = self._pods(node), list(self._room_on(node))
        chosen: list[Mover] = []
        for mover in self._on[node]:
            if mover.attempt.id in moved:
                continue
            room = _sum(room, self.gang.freed(mover))
            chosen.append(mover)
            if self._pods_in(room) > before:
                break
        else:
            return None
        for mover in reversed(chosen[:-1]):
            smaller = _sum(room, self.gang.freed(mover), -1)
            if self._pods_in(smaller) > before:
                room = smaller
                chosen.remove(mover)
        return _Option(chosen, sum(mover.lost for mover in chosen), node)

    def _placed(self, node: int, option: list[Mover]) -> list[_Shift] | None:
        """A node for each, the largest first, none of which the gang loses by; None where there is not."""
        step: list[_Shift] = []
        for mover in sorted(option, key=lambda mover: (-mover.attempt.gpus, mover.attempt.id)):
            to = self._destination(mover, node)
            if to is None:
                break
            shift = _Shift(mover, node, to)
            self._take(shift)
            step.append(shift)
        for shift in step:
            self._take(shift, -1)
        return step if len(step) == len(option) else None

    def _destination(self, mover: Mover, origin: int) -> int | None:
        """A node where all its pods fit right now and that holds as many of the gang's pods as before: the one that would
        be dearest to clear for the gang, of equals the tightest."""
        gang, table, line = self.gang, self.gang.table, line_of(self.gang.index, mover)
        row = table.row(line.shape)
        counts = table.counts(row)
        kept = gang.starts.backfill.kept(gang.gpu_class, line.spec, gang.starts_by)
        if kept is not None:
            counts = kept.beside(table, row, counts)
        sources = {shift.origin for shift in self._shifts} | {origin}
        fitting = np.flatnonzero(counts >= mover.attempt.placement.pods)
        order = table.order
        for node in sorted(fitting.tolist(), key=lambda node: (-self._clearing_cost(node), int(order[node]), node)):
            if node not in sources and self._still_takes(node, mover, kept):
                return int(node)
        return None

    def _clearing_cost(self, node: int) -> int:
        option = self._options.get(node)
        return option.lost if option is not None else _NEVER_CLEARED

    def _still_takes(self, node: int, mover: Mover, kept: Kept | None) -> bool:
        """Beside what was moved there before it and what bookings have kept, and without loss to the gang."""
        free = self.gang.table.available[:, node].tolist()
        if kept is not None:
            free[0] -= int(kept.gpus[node])
        for shift in self._shifts:
            if shift.to == node:
                free = _sum(free, shift.mover.asked, -1)
        after = _sum(free, mover.asked, -1)
        if min(after) < 0:
            return False
        if node not in self.region:
            return True
        return self._pods_in(_sum(self._room_on(node), self.gang.taken(mover), -1)) == self._pods(node)

    def _reduced(self) -> list[_Shift]:
        """Without those that are not needed after all, the dearest first."""
        pods = self.gang.lane.key.pods
        for shift in sorted(self._shifts, key=lambda shift: shift.mover.cost, reverse=True):
            self._apply(shift, -1)
            if self._fitting() < pods:
                self._apply(shift)
        return sorted(self._shifts, key=lambda shift: shift.mover.cost)

    # --- room --------------------------------------------------------------------------------------------------------

    def _apply(self, shift: _Shift, sign: int = 1) -> None:
        self._take(shift, sign)
        self._room[shift.origin] = _sum(self._room_on(shift.origin), self.gang.freed(shift.mover), sign)
        self._options.pop(shift.origin, None)

    def _take(self, shift: _Shift, sign: int = 1) -> None:
        """Its new place is taken, or (−1) given back."""
        self._room[shift.to] = _sum(self._room_on(shift.to), self.gang.taken(shift.mover), -sign)
        self._options.pop(shift.to, None)
        if sign > 0:
            self._shifts.append(shift)
        else:
            self._shifts.remove(shift)

    def _fitting(self) -> int:
        """Pods of the gang that fit into the region."""
        counts = self.gang.counts
        base = int(counts[list(self.region)].sum())
        return base + sum(self._pods(node) - int(counts[node]) for node in self._room if node in self.region)

    def _room_on(self, node: int) -> list[int]:
        known = self._room.get(node)
        return known if known is not None else self.gang.room.rows[:, node].tolist()

    def _pods(self, node: int) -> int:
        return self._pods_in(self._room_on(node))

    def _pods_in(self, room: list[int]) -> int:
        return max(0, min([left // each for left, each in zip(room, self.gang.asked, strict=True) if each]))


_NEVER_CLEARED = 2**62
"""Above every loss: nothing that could be moved out of it helps the gang."""


def _sum(room: list[int], asked: Rows, sign: int = 1) -> list[int]:
    return [left + sign * each for left, each in zip(room, asked, strict=True)]


def _funded(gang: _Gang, own: tuple[FundingShare, ...], shifts: list[_Shift]) -> Found | Mover:
    """The moves with the hours that pay for them beside the gang's own; the mover whose owner has not got them."""
    index, table = gang.index, gang.table
    held = [own]
    index.hours.book(own)
    moves: list[Move] = []
    for shift in shifts:
        launch = relaunch(
            index, shift.mover, Placement(((table.names[shift.to], shift.mover.attempt.placement.pods),))
        )
        if launch is None:
            break
        index.hours.book(launch.funding)
        held.append(launch.funding)
        moves.append(Move(shift.mover.attempt, launch))
    for shares in held:
        index.hours.unbook(shares)
    return _found(gang, shifts, moves) if len(moves) == len(shifts) else shifts[len(moves)].mover


def _found(gang: _Gang, shifts: list[_Shift], moves: list[Move]) -> Found:
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
