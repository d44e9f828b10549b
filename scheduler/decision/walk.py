"""The walk: serve the open lanes in order, booking as it goes, until nothing more can start.

Within a pool its order holds. Across pools, as in Kueue, the heads of the pools compete: those within their nominal
quota before those that would borrow, then priority, then age, then id.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import heapify, heappop, heappush

from scheduler.decision import evidence
from scheduler.decision.backfill import Backfill, Shadow, beside
from scheduler.decision.booked import Booked
from scheduler.decision.index import Index
from scheduler.decision.plan import Launch, Preemption, Verdict
from scheduler.decision.preemption import Found, Outlook, find_victims
from scheduler.decision.queue import Cursor, Lane, Line, OrderKey, Ruling
from scheduler.decision.snapshot import Reservation
from scheduler.decision.standings import Seat
from scheduler.decision.triage import (
    NO_POOL,
    fund_line,
    judge_lane,
    may_run_unfunded,
    on_peak,
    over_guard,
    over_limit,
)
from scheduler.domain.brakes import Brake, stopped_recently
from scheduler.domain.cluster import Placement
from scheduler.domain.funding import FundingShare, Shortfall
from scheduler.domain.policy import Order
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, GpuClassName, Instant, PoolName, WorkloadId
from scheduler.domain.workloads import Workload

RESERVED_BEYOND_GRACE_MS = 5 * MS_PER_MINUTE
"""How long, beyond the victims' grace, a preemptor's GPUs are kept for it: the cluster must see its victims end."""

CrossKey = tuple[bool, int, Instant, WorkloadId]


@dataclass(frozen=True, slots=True)
class Room:
    """Where a workload can start at once."""

    gpu_class: GpuClassName
    placement: Placement


@dataclass(frozen=True, slots=True)
class Entered:
    """What a cycle's starts do to their owner: the place they will have once it is recorded, and GPUs started."""

    place: int
    gpus: int


class Walk:
    """One cycle's bookings and what they amount to."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.booked = Booked()
        self.launches: list[Launch] = []
        self.preemptions: list[Preemption] = []
        self.warnings: list[Verdict] = []
        self.alone: dict[WorkloadId, Ruling] = {}
        """Rulings on single workloads, in place of their line's."""
        self.cursors: dict[Lane, Cursor] = {}
        """Lanes that were walked: what is left of each."""
        self.backfill = Backfill(index)
        self._entered: dict[Seat, Entered] = {}
        """Of those who start something in this cycle: where that puts them."""
        self.withheld: list[Line] = []
        """Lines that wait because somebody ahead has room kept free."""
        self.set_aside: list[Line] = []
        """Lines that this cycle's bookings set aside: to be judged again in the next."""

    def serve_reservations(self) -> list[WorkloadId]:
        """Launch those whose victims have ended. Returns those whose reservation has lapsed, or lost its nodes."""
        index, lapsed = self.index, []
        pause = index.pause(Brake.LAUNCH)
        for workload_id, reservation in sorted(index.reservations.items(), key=lambda item: (item[1].until, item[0])):
            workload = index.queued.get(workload_id)
            placement, gpu_class = reservation.placement, reservation.gpu_class
            if (
                workload is None
                or reservation.until <= index.now
                or not index.capacity.is_lasting(gpu_class, placement)
            ):
                lapsed.append(workload_id)
            elif self._has_come_free(workload, reservation):
                if pause is not None:
                    self.alone[workload_id] = evidence.launch_paused(pause)
                else:
                    self._launch_reserved(workload, reservation)
        return lapsed

    def _has_come_free(self, workload: Workload, reservation: Reservation) -> bool:
        """The GPUs on its nodes, and the quota that its victims gave up."""
        index, gpu_class = self.index, reservation.gpu_class
        if not index.capacity.is_free(gpu_class, reservation.placement, workload.spec.pod):
            return False
        pool = index.policy.pool_of_team.get(workload.team)
        if pool is None or not index.quotas.has(pool.name, gpu_class):
            return True
        return index.quotas.free_for_promised(pool.name, gpu_class) >= workload.spec.gpus

    def serve(self, lanes: list[Lane], outlook: Outlook) -> None:
        """Walk lanes that may start something or may preempt, and those whose first is to have room kept free."""
        self._outlook = outlook
        pools: dict[PoolName, list[tuple[OrderKey, Lane]]] = {}
        for lane in lanes:
            self.cursors[lane] = Cursor(lane, self._placing)
            pools.setdefault(lane.key.pool, []).append((lane.head(), lane))
        heads: list[tuple[CrossKey, PoolName]] = []
        for name, waiting in pools.items():
            heapify(waiting)
            heads.append((self.cross_key(*waiting[0]), name))
        heapify(heads)
        while heads:
            _, name = heappop(heads)
            waiting = pools[name]
            place, lane = heappop(waiting)
            head = self.cursors[lane].peek()
            # A place that its owner's starts have sent back since is only taken again.
            is_left = self._serve_head(lane) if head is not None and head[0] == place else True
            following = self.cursors[lane].peek() if is_left else None
            if following is not None:
                heappush(waiting, (following[0], lane))
            if waiting:
                heappush(heads, (self.cross_key(*waiting[0]), name))

    def _placing(self, line: Line, position: int) -> OrderKey:
        """Its place, behind what its owner starts in this cycle: a burst of submissions gains nothing."""
        place = line.order_key(position)
        entered = self._entered.get((line.order, line.owner))
        if entered is None:
            return place
        standing = line.standing_from(entered.place) + entered.gpus
        return (place[0], max(place[1], standing), place[2], place[3])

    def _enter(self, line: Line, gpu_class: GpuClassName) -> None:
        """Count a start against whoever owns it: those of theirs that follow stand where it puts them, and among
        equals behind who has started less."""
        index, seat = self.index, (line.order, line.owner)
        if line.priority_class is not None and line.order is not Order.FIFO:
            factor = line.priority_class.class_factor
            index.standings.book(line.owner, line.gpus, index.policy.gpu_classes[gpu_class], factor)
            before = self._entered[seat].gpus if seat in self._entered else 0
            self._entered[seat] = Entered(index.standings.place_after_bookings(*seat), before + line.gpus)

    def cross_key(self, place: OrderKey, lane: Lane) -> CrossKey:
        priority, _, submitted_at, workload_id = place
        gpu_class = lane.key.gpu_classes[0]
        borrows = self.index.quotas.over_nominal(lane.key.pool, gpu_class, lane.gpus) > 0
        return (borrows, priority, submitted_at, workload_id)

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
        room = self.find_room(lane, line)
        if not isinstance(room, Room) or self.index.lanes.is_wanted(room.gpu_class):
            return False
        if self._limited(line, room.gpu_class):
            return False
        if not may_run_unfunded(self.index, line, self.booked):
            return False
        self._launch(lane, line, workload_id, room, ())
        return True

    def _serve_head(self, lane: Lane) -> bool:
        """Serve the lane's next workload. False: the lane is through for this cycle."""
        cursor = self.cursors[lane]
        entry = cursor.peek()
        assert entry is not None, "a lane is walked as long as somebody stands in it"
        place, _, line = entry
        wish: Room | Shadow | Found | None = self.find_room(lane, line)
        if isinstance(wish, Shadow):
            line.ruling = evidence.priority(wish.workload_id, wish.line, line)
            self.withheld.append(line)
            cursor.advance(past_line=True)
            return True
        if wish is None and self._outlook.is_hopeful(lane):
            wish = find_victims(self.index, self.booked, lane, line, place[2])
        shares = self._require_means(line, wish.gpu_class if wish is not None else lane.key.gpu_classes[0])
        if isinstance(shares, Ruling):
            line.ruling = shares
            self.set_aside.append(line)
            cursor.advance(past_line=True)
            return True
        if wish is None:
            self._close(lane, line, place)
            return False
        if isinstance(wish, Room):
            self._launch(lane, line, place[3], wish, shares)
        else:
            refusal = self._may_stop(wish)
            if refusal is not None:
                self.alone[place[3]] = refusal
                self._close(lane, line, place)
                return False
            self._preempt(lane, line, place[3], wish, shares)
        cursor.advance()
        return True

    def find_room(self, lane: Lane, line: Line) -> Room | Shadow | None:
        """The first GPU class with quota and room, and where there; the shadow, where somebody ahead has it kept."""
        key, index = lane.key, self.index
        withheld: Shadow | None = None
        for gpu_class in key.gpu_classes:
            if key.is_funded and index.quotas.free(key.pool, gpu_class) < lane.gpus:
                continue
            table = index.capacity.table(gpu_class)
            if table.total(key.shape) < key.pods:
                continue
            row = table.row(key.shape)
            counts = table.counts(row)
            shadow = self.backfill.shadow(gpu_class, line.spec)
            if shadow is not None:
                counts = beside(shadow, table, row, counts)
            placement = table.placement(row, counts, key.pods)
            if placement is not None and (shadow is None or self._leaves_quota(shadow, lane, gpu_class)):
                return Room(gpu_class, placement)
            withheld = withheld or shadow
        return withheld

    def _leaves_quota(self, shadow: Shadow, lane: Lane, gpu_class: GpuClassName) -> bool:
        """Whether there is quota for it beside that of whoever has room kept free."""
        if not lane.key.is_funded:
            return True
        quotas = self.index.quotas
        quotas.use(shadow.pool, gpu_class, shadow.gpus)
        is_enough = quotas.free(lane.key.pool, gpu_class) >= lane.gpus
        quotas.use(shadow.pool, gpu_class, -shadow.gpus)
        return is_enough

    def _require_means(self, line: Line, gpu_class: GpuClassName) -> tuple[FundingShare, ...] | Ruling:
        """The owner's limits and hours, with what this cycle has booked on them."""
        limited = self._limited(line, gpu_class)
        if limited is not None:
            return limited
        answer = fund_line(self.index, line, gpu_class)
        return evidence.allowance_short(answer) if isinstance(answer, Shortfall) else answer

    def _limited(self, line: Line, gpu_class: GpuClassName) -> Ruling | None:
        """What of its owner's, its team's, its array's or its class's limits forbids a start now."""
        index, booked = self.index, self.booked
        return (
            over_limit(index, line, booked)
            or over_guard(index, line, gpu_class)
            or on_peak(index, line, gpu_class, booked)
        )

    def _close(self, lane: Lane, line: Line, place: OrderKey) -> None:
        """Nothing more of it starts. Whoever is first to wait for a class's room has it kept free."""
        judge_lane(self.index, lane, place)
        if lane.blocked_class is not None:
            self.backfill.wait(lane, line, place[3], lane.blocked_class)

    def undo(self) -> None:
        """Take back what was booked, and have judged again whatever that concerned."""
        self.booked.roll_back()
        self.index.hours.forget()
        self.index.standings.forget()
        self.index.spending.forget()
        self.index.dirty_lanes.update(dict.fromkeys(self.cursors))
        self.index.dirty_lines.update(dict.fromkeys(self.set_aside))
        self.index.withheld = self.withheld

    # --- booking -----------------------------------------------------------------------------------------------------

    def _launch(
        self, lane: Lane, line: Line, workload_id: WorkloadId, room: Room, shares: tuple[FundingShare, ...]
    ) -> None:
        index, spec, pool = self.index, line.spec, lane.key.pool
        is_borrowed = self._count(lane, line, workload_id, room.gpu_class, shares, index.quotas.use)
        index.capacity.occupy(room.placement, spec.pod)
        self.booked.undo.append(partial(index.capacity.occupy, room.placement, spec.pod, -1))
        launch = Launch(
            workload_id,
            room.gpu_class,
            room.placement,
            pool,
            shares,
            is_funded=lane.key.is_funded,
            is_borrowed=is_borrowed,
        )
        self.launches.append(launch)
        self.backfill.launched(launch, spec)
        self.alone[workload_id] = evidence.launching(spec, room.gpu_class, room.placement)

    def _launch_reserved(self, workload: Workload, reservation: Reservation) -> None:
        """Its hours are held, and its pool and limits count it, since its victims were chosen."""
        index, pod, placement = self.index, workload.spec.pod, reservation.placement
        pool = index.policy.pool_of_team.get(workload.team)
        index.capacity.occupy(placement, pod)
        index.capacity.claim(placement, pod, -1)
        self.booked.undo.append(partial(index.capacity.occupy, placement, pod, -1))
        self.booked.undo.append(partial(index.capacity.claim, placement, pod))
        if pool is not None:
            index.quotas.hold(pool.name, reservation.gpu_class, workload.spec.gpus)
            self.booked.undo.append(partial(index.quotas.hold, pool.name, reservation.gpu_class, -workload.spec.gpus))
        launch = Launch(
            workload.id,
            reservation.gpu_class,
            placement,
            pool.name if pool is not None else NO_POOL,
            (),
            is_borrowed=reservation.is_borrowed,
            is_reserved=True,
        )
        self.launches.append(launch)
        self.backfill.launched(launch, workload.spec)
        self.alone[workload.id] = evidence.launching(workload.spec, reservation.gpu_class, placement)

    def _preempt(
        self, lane: Lane, line: Line, workload_id: WorkloadId, found: Found, shares: tuple[FundingShare, ...]
    ) -> None:
        index, spec, pool = self.index, line.spec, lane.key.pool
        for attempt in found.attempts:
            index.capacity.stop(attempt.placement, attempt.pod)
            self.booked.undo.append(partial(index.capacity.stop, attempt.placement, attempt.pod, -1))
            if attempt.is_funded:
                index.quotas.promise(attempt.pool, attempt.gpu_class, -attempt.gpus)
                self.booked.undo.append(partial(index.quotas.promise, attempt.pool, attempt.gpu_class, attempt.gpus))
            self.booked.victims.add(attempt.id)
        self.booked.stopped_gpus += found.gpus
        self.backfill.preempted(found.attempts)
        is_borrowed = self._count(lane, line, workload_id, found.gpu_class, shares, index.quotas.promise)
        index.capacity.claim(found.placement, spec.pod)
        self.booked.undo.append(partial(index.capacity.claim, found.placement, spec.pod, -1))
        launch = Launch(workload_id, found.gpu_class, found.placement, pool, shares, is_borrowed=is_borrowed)
        grace_ms = max(attempt.grace_seconds for attempt in found.attempts) * MS_PER_SECOND
        until = Instant(index.now + grace_ms + RESERVED_BEYOND_GRACE_MS)
        self.preemptions.append(Preemption(launch, found.victims, until))
        self.alone[workload_id] = evidence.awaiting_preemption(spec, found.gpu_class, len(found.victims))

    def _count(
        self,
        lane: Lane,
        line: Line,
        workload_id: WorkloadId,
        gpu_class: GpuClassName,
        shares: tuple[FundingShare, ...],
        count_quota: Callable[[PoolName, GpuClassName, int], None],
    ) -> bool:
        """Count a start against quota, limits and hours. Returns whether the pool borrows for it."""
        index, booked, gpus = self.index, self.booked, line.spec.gpus
        self._spend(line, gpu_class, workload_id)
        booked.of_owner[line.owner] = booked.of_owner.get(line.owner, 0) + gpus
        booked.of_class[gpu_class] = booked.of_class.get(gpu_class, 0) + gpus
        if line.array is not None:
            booked.of_array[line.array] = booked.of_array.get(line.array, 0) + 1
        booked.of_team[line.team] = booked.of_team.get(line.team, 0) + gpus
        if not lane.key.is_funded:
            booked.unfunded_of_owner[line.owner] = booked.unfunded_of_owner.get(line.owner, 0) + gpus
            return False
        index.hours.book(shares)
        self._enter(line, gpu_class)
        count_quota(lane.key.pool, gpu_class, gpus)
        booked.undo.append(partial(count_quota, lane.key.pool, gpu_class, -gpus))
        return index.quotas.over_nominal(lane.key.pool, gpu_class) > 0

    def _spend(self, line: Line, gpu_class: GpuClassName, workload_id: WorkloadId) -> None:
        """Count a start against spend guards, and warn whoever goes beyond a soft limit."""
        spending, terms = self.index.spending, line.priority_class
        if spending.guards and terms is not None:
            weight = self.index.policy.gpu_classes[gpu_class].weight
            over = spending.over_soft(line.owner, line.team, line.spec, weight, terms)
            if over is not None:
                said = evidence.spend_guard(over, Reason.SPEND_WARNING)
                self.warnings.append(Verdict(workload_id, said.reason, said.evidence))
            spending.book(line.owner, line.team, line.spec, weight, terms)

    def _may_stop(self, found: Found) -> Ruling | None:
        """Whether a brake forbids it: preemption paused, or too many GPUs stopped in ten minutes."""
        index = self.index
        pause = index.pause(Brake.PREEMPT)
        if pause is not None:
            return evidence.preemption_paused(pause, len(found.victims))
        limit = index.policy.preempt_rate.limit(index.running.gpus)
        stopped = stopped_recently(index.stops, Brake.PREEMPT, index.now) + self.booked.stopped_gpus
        if limit is not None and stopped + found.gpus > limit:
            return evidence.stop_rate(stopped, limit)
        return None
