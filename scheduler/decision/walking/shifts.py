"""Shifts: who moves where, so that a gang fits which nothing but fragments keeps waiting.

Node by node the cheapest attempts are taken that give up room for one pod more and have another node to go to right now,
where they take nothing from the gang. Nothing is paid for here.
"""

from dataclasses import dataclass, field

import numpy as np

from scheduler.decision.index import Index
from scheduler.decision.keeping.ahead import RoomAhead, Rows
from scheduler.decision.keeping.bookings import Kept
from scheduler.decision.ordering.queue import Lane, Line
from scheduler.decision.placing.ends import latest_end, latest_end_if_started
from scheduler.decision.placing.fit_table import FitTable, IntArray
from scheduler.decision.walking.movers import Mover, line_of
from scheduler.decision.walking.starts import Starts
from scheduler.domain.units import GpuClassName, Instant


@dataclass(frozen=True, slots=True)
class Shift:
    """A mover, and the node (by its position in the table) to which all its pods go."""

    mover: Mover
    origin: int
    to: int


class Gang:
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


def cheapest(gang: Gang, candidates: list[Mover]) -> list[Shift] | None:
    """Of all regions the moves that lose least work, then the fewest."""
    found: list[list[Shift]] = []
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

    gang: Gang
    region: frozenset[int]
    candidates: list[Mover]
    _shifts: list[Shift] = field(default_factory=list)
    _room: dict[int, list[int]] = field(default_factory=dict)
    _on: dict[int, list[Mover]] = field(default_factory=dict)
    """Of each node of the region, who may be moved out of it."""
    _options: dict[int, _Option | None] = field(default_factory=dict)
    """Of each of them, whom to move so that one pod more fits."""

    def run(self) -> list[Shift] | None:
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

    def _next_step(self) -> list[Shift] | None:
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

    def _placed(self, node: int, option: list[Mover]) -> list[Shift] | None:
        """A node for each, the largest first, none of which the gang loses by; None where there is not."""
        step: list[Shift] = []
        for mover in sorted(option, key=lambda mover: (-mover.attempt.gpus, mover.attempt.id)):
            to = self._destination(mover, node)
            if to is None:
                break
            shift = Shift(mover, node, to)
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

    def _reduced(self) -> list[Shift]:
        """Without those that are not needed after all, the dearest first."""
        pods = self.gang.lane.key.pods
        for shift in sorted(self._shifts, key=lambda shift: shift.mover.cost, reverse=True):
            self._apply(shift, -1)
            if self._fitting() < pods:
                self._apply(shift)
        return sorted(self._shifts, key=lambda shift: shift.mover.cost)

    # --- room --------------------------------------------------------------------------------------------------------

    def _apply(self, shift: Shift, sign: int = 1) -> None:
        self._take(shift, sign)
        self._room[shift.origin] = _sum(self._room_on(shift.origin), self.gang.freed(shift.mover), sign)
        self._options.pop(shift.origin, None)

    def _take(self, shift: Shift, sign: int = 1) -> None:
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
