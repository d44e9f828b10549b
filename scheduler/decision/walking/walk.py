"""The walk: serve the open lanes in order, booking as it goes, until nothing more can start.

Within a pool its order holds. Across pools their heads compete (`competing.py`): who is first of those whom no limit
forbids to start beside what the cycle has started.
"""

from collections.abc import Sequence
from functools import partial
from heapq import heapify, heappop, heappush, heapreplace

from scheduler.decision import evidence
from scheduler.decision.index import Index
from scheduler.decision.keeping.backfill import Shadow, beside
from scheduler.decision.keeping.bookings import Kept
from scheduler.decision.ordering.cursor import Cursor
from scheduler.decision.ordering.queue import Lane, LaneKey, Line, OrderKey, Ruling, Withheld
from scheduler.decision.ordering.turns import Coming, Held, Turns, call, follow, go_on, turns_by_pool
from scheduler.decision.preempting.found import Found
from scheduler.decision.preempting.outlook import Outlook
from scheduler.decision.preempting.preemption import find_victims
from scheduler.decision.walking.competing import key_of_turn
from scheduler.decision.walking.consolidation import Consolidation
from scheduler.decision.walking.starts import Room, Starts
from scheduler.decision.walking.triage import (
    NOTHING,
    Lack,
    allow,
    balances_of,
    fund_line,
    lane_lacks,
    may_run_unfunded,
    on_peak,
    open_class,
    over_guard,
    over_limit,
    over_own_limit,
    payers_of,
    rule_on_lane,
)
from scheduler.domain.funding import FundingShare, Shortfall
from scheduler.domain.reasons import Reason
from scheduler.domain.units import GpuClassName, Instant, WorkloadId


class Walk:
    """One cycle's way along the lanes."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.starts = Starts(index)
        self.consolidation = Consolidation(index, self.starts)
        self.cursors: dict[Lane, Cursor] = {}
        """Lanes that were walked: what is left of each."""
        self.closed: set[Lane] = set()
        """Those of them that were closed before all in them had their turn."""
        self.passed: list[Coming] = []
        """Lines that were held back and stand in no lane yet: it was closed by their turn, or they have gone on in it."""
        self.set_aside: list[Line] = []
        """Lines that this cycle's bookings set aside: to be judged again in the next."""

    def serve(self, lanes: list[Lane], outlook: Outlook, held: Sequence[Held]) -> None:
        """Walk lanes that may start something or may preempt, and those whose first is to have room kept free. `held`:
        lines that come to their lanes when it is their turn. Once it is known who is at a limit by then, the rest of them
        `join_lanes`."""
        self._outlook = outlook
        self.cursors.update((lane, Cursor(lane, self.starts.place_after_starts)) for lane in lanes)
        pools = turns_by_pool(self.cursors.values(), held)
        heads = [(key_of_turn(self.index, *turns[0]), name) for name, turns in pools.items()]
        heapify(heads)
        while heads:
            name = heads[0][1]
            turns = pools[name]
            before = turns[0]
            self._settle(turns)
            if turns and turns[0] == before:
                self._take_turn(turns)
                self._settle(turns)
            if turns:
                heapreplace(heads, (key_of_turn(self.index, *turns[0]), name))
            else:
                heappop(heads)

    def _settle(self, turns: Turns) -> None:
        """Have a pool's lanes begin with who is first by now, and could start for all that limits say: pools compete by
        that one. Whoever their owner's starts have sent back, or brought to a limit, since they were looked at does not."""
        while turns:
            place, cursor = turns[0]
            if isinstance(cursor, Held):
                if self._is_called(turns, place, cursor):
                    return
                continue
            if cursor.queued_at != place:
                heappop(turns)  # one that was held back came before, and the lane has gone on from there
                continue
            head = cursor.peek()
            if head is not None and head[0] == place:
                limited = self._limited_since(head[2], place[3])
                if limited is None:
                    return
                self._set_aside(head[2], limited)
                cursor.advance(past_line=True)
                head = cursor.peek()
            follow(turns, cursor, head)

    def _is_called(self, turns: Turns, place: OrderKey, held: Held) -> bool:
        """Whether it is the turn of a line that was held back, which was the first of those: not where it was sent back,
        its lane is through for it, or a limit forbids a start of it by now: its owner's forbids those behind it, too."""
        line, key = held.peek()
        current = self.starts.place_after_starts(line, 0)
        if current != place:
            heapreplace(turns, (current, held))
            return False
        if over_own_limit(self.index, line, self.starts.planned) is not None:
            self.index.sent_away.append(held)
            heappop(turns)
            return False
        lane = self.index.lanes.known(key)
        if lane is None or (lane in self.cursors and lane not in self.closed and lane.withheld_from(line) is None):
            limited = self._limited_since(line, place[3])
            if limited is None:
                return True
            self._set_aside(line, limited)
        else:
            allow(line, key)
            self.passed.append((line, key))
        go_on(turns, place, held)
        return False

    def _take_turn(self, turns: Turns) -> None:
        """Serve the first of a pool. Who was held back goes on in its lane, unless its owner is short of hours by now."""
        place, turn = turns[0]
        cursor = self._let_in(turns, place, turn) if isinstance(turn, Held) else turn
        if cursor is None:
            return
        head = cursor.peek()
        assert head is not None, "its place was looked up"
        is_through = not self._serve_head(cursor.lane, cursor, place, head[2])
        follow(turns, cursor, None if is_through else cursor.peek())

    def _let_in(self, turns: Turns, place: OrderKey, held: Held) -> Cursor | None:
        """The first of those that were held back goes on in its lane, which is made where none of those who want the same
        has come, and has the turn there; None where it is short of hours by now."""
        line, key = held.peek()
        go_on(turns, place, held)
        allow(line, key)
        short = self._short_for_sure(key, line, lane_lacks(self.index, key, line.gpus))
        if short is not None:
            self._set_aside(line, short)
            return None
        lane = self.index.lanes.known(key)
        if lane is None:
            lane = self.index.lanes.join(line, key)
            cursor = self.cursors[lane] = Cursor(lane, self.starts.place_after_starts)
        else:
            cursor = self.cursors[lane]
            cursor.come(line, place)
            self.passed.append((line, key))
        call(turns, cursor, place)
        return cursor

    def join_lanes(self) -> None:
        """Those that were held back and wait for the same as their lane stand in it from now on."""
        for line, key in self.passed:
            if line.ruling is None:
                self.index.lanes.join(line, key)
            else:
                self.set_aside.append(line)

    def _limited_since(self, line: Line, workload_id: WorkloadId) -> Ruling | None:
        """What of the limits on its owner, team or array forbids a start of it beside what this cycle starts."""
        if workload_id in self.starts.inside or not self.starts.counts_against(line):
            return None
        return over_limit(self.index, line, self.starts.planned)

    def serve_unfunded(self, open_lanes: list[Lane]) -> None:
        """Start what may run without hours on what nobody who pays waits for; least recent user first."""
        users: list[tuple[Instant, OrderKey, int, Line, Lane]] = []
        for lane in open_lanes:
            self.cursors[lane] = Cursor(lane)
            for place, line in lane.lines:
                users.append((self.index.running.last_unfunded(line.owner), place, 0, line, lane))
        heapify(users)
        while users:
            _, place, position, line, lane = heappop(users)
            if self._start_unfunded(lane, line, place[3]) and position + 1 < len(line.members):
                # Whoever has just started one is the most recent user of all.
                heappush(users, (self.index.now, line.order_key(position + 1), position + 1, line, lane))

    def _start_unfunded(self, lane: Lane, line: Line, workload_id: WorkloadId) -> bool:
        if workload_id in self.starts.inside:
            return True
        room = self.find_room(lane, line)
        if not isinstance(room, Room) or self.index.lanes.is_wanted(room.gpu_class):
            return False
        if self.limited(line, room.gpu_class):
            return False
        if not may_run_unfunded(self.index, line, self.starts.planned):
            return False
        self.starts.launch(lane, line, workload_id, room, ())
        return True

    def _serve_head(self, lane: Lane, cursor: Cursor, place: OrderKey, line: Line) -> bool:
        """Serve the lane's next workload. False: the lane is through for this cycle."""
        if place[3] in self.starts.inside:
            cursor.advance()
            return True
        lacks = lane_lacks(self.index, lane.key, lane.gpus)
        short = self._short_for_sure(lane.key, line, lacks)
        if short is not None:
            self._set_aside(line, short)
            cursor.advance(past_line=True)
            return True
        room = self.find_room(lane, line) if lacks is NOTHING else None
        wish: Room | Found | None = room if isinstance(room, Room) else None
        withheld = room if not isinstance(room, Room) else None
        if wish is None and not isinstance(withheld, Shadow):
            wish = self._find_others(lane, line, place)
        if wish is None and withheld is not None:
            self._withhold(lane, line, cursor, place, withheld)
            return True
        gpu_class = wish.gpu_class if wish is not None else lane.key.gpu_classes[0]
        if wish is None and not self._may_lack_means(line, gpu_class):
            self._close(lane, line, place, lacks)
            return False
        shares = self._require_means(line, gpu_class)
        if isinstance(shares, Ruling):
            self._set_aside(line, shares)
            cursor.advance(past_line=True)
            return True
        if wish is None:
            self._close(lane, line, place, lacks)
            return False
        if isinstance(wish, Room):
            self.starts.launch(lane, line, place[3], wish, shares)
        else:
            refusal = self.starts.refusal_to_stop(wish)
            if refusal is not None:
                self.starts.alone[place[3]] = refusal
                if withheld is not None:
                    self._withhold(lane, line, cursor, place, withheld)
                    return True
                self._close(lane, line, place, lacks)
                return False
            self.starts.preempt(lane, line, place[3], wish, shares)
        cursor.advance()
        return True

    def _short_for_sure(self, key: LaneKey, line: Line, lacks: Lack) -> Ruling | None:
        """What its owner's means say to the only class on which it can start, where this cycle's starts have booked on
        their hours: where in it, or whom to stop for it, takes longer to find, and is nothing to most of those."""
        hours, gpu_classes = self.index.hours, key.gpu_classes
        if not hours.is_any_booked or not hours.is_booked(balances_of(self.index, line.party)):
            return None
        if lacks is NOTHING:
            gpu_class = open_class(self.index, key, line.gpus)
            return self.short_of_hours(line, gpu_class) if not self.starts.keeps_room_from(line, gpu_class) else None
        return self.short_of_hours(line, gpu_classes[0]) if len(gpu_classes) == 1 else None

    def short_of_hours(self, line: Line, gpu_class: GpuClassName) -> Ruling | None:
        """What its owner's means say to a class, where this cycle's starts have booked on their hours."""
        means = self._require_means(line, gpu_class) if self._is_booked(line, gpu_class) else None
        return means if isinstance(means, Ruling) else None

    def _is_booked(self, line: Line, gpu_class: GpuClassName) -> bool:
        hours = self.index.hours
        return hours.is_any_booked and hours.is_booked(payers_of(self.index, line, gpu_class))

    def _set_aside(self, line: Line, ruling: Ruling) -> None:
        line.ruling = ruling
        self.set_aside.append(line)

    def _find_others(self, lane: Lane, line: Line, place: OrderKey) -> Found | None:
        """Whom to stop for it, or else to move; nobody inside its preemption delay."""
        if lane.stops_others_from(line, place[2]) > self.index.now:
            return None
        found: Found | None = None
        if self._outlook.is_hopeful(lane, line.priority):
            found = find_victims(self._outlook, self.starts.backfill, self.starts.planned, lane, line, place[2])
        if found is None and lane.key.is_funded:
            found = self.consolidation.find_moves(lane, line)
        return found

    def _withhold(self, lane: Lane, line: Line, cursor: Cursor, place: OrderKey, wish: Shadow | Kept) -> None:
        """Its room is kept for somebody ahead, and so it is from those of its lane that would end no sooner: as a cycle
        goes on there is less room and never more. They are many, and none of them is looked at. Who waits for a booking
        to pass waits for room like any other, and has it kept free."""
        if isinstance(wish, Kept):
            self.starts.backfill.wait(lane, line, place[3], wish.gpu_class)
            ruling = partial(evidence.booked, wish)
            withheld = Withheld(line.lasts_ms, Reason.BOOKED, ruling, wish.gpu_class, place)
        else:
            withheld = Withheld(
                line.lasts_ms, Reason.PRIORITY, partial(evidence.priority, wish.workload_id, wish.line)
            )
        lane.withheld.append(withheld)
        cursor.pass_over(line.lasts_ms)

    def find_room(self, lane: Lane, line: Line) -> Room | Shadow | Kept | None:
        """The first GPU class with quota and room, and where there; the shadow, where somebody ahead has it kept."""
        key, index = lane.key, self.index
        withheld: Shadow | Kept | None = None
        for gpu_class in key.gpu_classes:
            if key.is_funded and index.quotas.free(key.pool, gpu_class) < lane.gpus:
                continue
            table = index.capacity.table(gpu_class)
            if table.total(key.shape) < key.pods:
                continue
            promised = self.starts.promised.shadow(gpu_class, lane, line.spec)
            if promised is not None and not self.leaves_quota(promised, lane, gpu_class):
                withheld = withheld or promised
                continue
            row = table.row(key.shape)
            counts = table.counts(row)
            kept = self.starts.backfill.kept(gpu_class, line.spec)
            if kept is not None:
                counts = kept.beside(table, row, counts)
                if table.together(row, counts) < key.pods:
                    withheld = withheld or kept
                    continue
            shadow = self.starts.backfill.shadow(gpu_class, line.spec)
            if shadow is not None:
                counts = beside(shadow, table, row, counts)
            placement = table.placement(row, counts, key.pods)
            if placement is not None and (shadow is None or self.leaves_quota(shadow, lane, gpu_class)):
                return Room(gpu_class, placement)
            withheld = withheld or shadow
        return withheld

    def leaves_quota(self, shadow: Shadow, lane: Lane, gpu_class: GpuClassName) -> bool:
        """Whether there is quota for it beside that of whoever has room kept free; for the own pool of one that has aged
        and is owed no more than its nominal quota, within that."""
        if not lane.key.is_funded:
            return True
        quotas = self.index.quotas
        quotas.use(shadow.pool, gpu_class, shadow.gpus)
        is_enough = quotas.free(lane.key.pool, gpu_class) >= lane.gpus
        is_owed = shadow.line.is_aged and shadow.gpus <= quotas.nominal(shadow.pool, gpu_class)
        if is_owed and lane.key.pool == shadow.pool:
            is_enough = is_enough and quotas.over_nominal(shadow.pool, gpu_class, lane.gpus) <= 0
        quotas.use(shadow.pool, gpu_class, -shadow.gpus)
        return is_enough

    def _may_lack_means(self, line: Line, gpu_class: GpuClassName) -> bool:
        """Whether this cycle has booked anything that its owner's hours and limits count: as the snapshot stands, who
        stands in a lane has the means."""
        index = self.index
        has_hours_of_day = line.priority_class is not None and line.priority_class.off_peak is not None
        if has_hours_of_day or index.spending.guards or self.starts.counts_against(line):
            return True
        return self._is_booked(line, gpu_class)

    def _require_means(self, line: Line, gpu_class: GpuClassName) -> tuple[FundingShare, ...] | Ruling:
        """The owner's limits and hours, with what this cycle has booked on them."""
        limited = self.limited(line, gpu_class)
        if limited is not None:
            return limited
        answer = fund_line(self.index, line, gpu_class)
        return evidence.allowance_short(answer) if isinstance(answer, Shortfall) else answer

    def limited(self, line: Line, gpu_class: GpuClassName) -> Ruling | None:
        """What of its owner's, its team's, its array's or its class's limits forbids a start now."""
        index, planned = self.index, self.starts.planned
        return (
            over_limit(index, line, planned) or over_guard(index, line, gpu_class) or on_peak(index, line, gpu_class)
        )

    def _close(self, lane: Lane, line: Line, place: OrderKey, lacks: Lack) -> None:
        """Nothing more of it starts. Whoever is first to wait for a class's room has it kept free."""
        self.closed.add(lane)
        rule_on_lane(self.index, lane, place, lacks)
        stops_others_from = lane.stops_others_from(line, place[2])
        if stops_others_from > self.index.now and self._outlook.is_hopeful(lane, line.priority):
            self.starts.alone[place[3]] = evidence.preemption_delay(
                line.spec, lane.key.gpu_classes, stops_others_from
            )
        if lane.blocked_class is not None:
            self.starts.backfill.wait(lane, line, place[3], lane.blocked_class)
        if lane in self.index.lanes.short:
            gpu_class = self.index.lanes.short[lane]
            at = self.starts.promised.wait(lane, line, place[3], gpu_class, self.starts.launches_of(gpu_class))
            if at is not None:
                self.starts.backfill.wait(lane, line, place[3], gpu_class, at)

    def undo(self) -> None:
        """Take back what was booked, and have judged again whatever that concerned."""
        self.starts.undo()
        self.index.dirty_lanes.update(dict.fromkeys(self.cursors))
        self.index.dirty_lines.update(dict.fromkeys(self.set_aside))
