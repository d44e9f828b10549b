"""Starts: what one cycle launches and whom it stops for it, and what that counts against until the cycle is over."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from scheduler.decision import evidence
from scheduler.decision.index import Index
from scheduler.decision.keeping.backfill import Backfill
from scheduler.decision.keeping.bookings import pod_of
from scheduler.decision.keeping.promised import PromisedQuota
from scheduler.decision.ordering.queue import Lane, Line, OrderKey, Ruling
from scheduler.decision.placing.ends import kept_until
from scheduler.decision.placing.planned import Planned
from scheduler.decision.plan import Launch, Preemption, Verdict
from scheduler.decision.preempting.found import Found, Move
from scheduler.decision.snapshot import Reservation
from scheduler.decision.walking.triage import NO_POOL
from scheduler.domain.brakes import Brake, stopped_recently
from scheduler.domain.cluster import Placement
from scheduler.domain.funding import FundingShare
from scheduler.domain.policy import Order
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    EngineerId,
    GpuClassName,
    PoolName,
    WorkloadId,
)
from scheduler.domain.values import value
from scheduler.domain.workloads import Attempt, Workload, WorkloadSpec


@value(frozen=True, slots=True)
class Room:
    """Where a workload can start at once."""

    gpu_class: GpuClassName
    placement: Placement


@dataclass(slots=True)
class Entered:
    """What a cycle's starts do to their owner: GPUs started, and the place they will have once it is recorded, as far as
    it was asked for since."""

    gpus: int = 0
    place: int | None = None


class Starts:
    """One cycle's bookings and what they amount to."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.planned = Planned()
        self.backfill = Backfill(index)
        self.promised = PromisedQuota(index)
        self.launches: list[Launch] = []
        self.preemptions: list[Preemption] = []
        self.widened: list[tuple[int, Line]] = []
        """Of what is launched, by its place there: elastic work that could do with more than its minimum."""
        self.warnings: dict[WorkloadId, Verdict] = {}
        self._spent: dict[WorkloadId, WorkloadSpec] = {}
        """What was counted against spend guards, of each that starts or grows."""
        self.alone: dict[WorkloadId, Ruling] = {}
        """Rulings on single workloads, in place of their line's."""
        self.inside: set[WorkloadId] = set()
        """Those that start inside a booking."""
        self._entered: dict[EngineerId, dict[Order, Entered]] = {}
        """Of those who start something in this cycle: where that puts them in each order."""

    def place_after_starts(self, line: Line, position: int) -> OrderKey:
        """Its place, behind what its owner starts in this cycle: a burst of submissions gains nothing."""
        standing = line.standing
        mine = self._entered.get(line.party.owner)
        entered = mine.get(line.order) if mine is not None else None
        if entered is not None:
            place = self._known_place(line.order, line.party.owner, entered)
            standing = max(standing, line.standing_from(place) + entered.gpus)
        waits_since, workload_id = line.members[position]
        return (line.rank, standing, waits_since, workload_id)

    def begun(self) -> set[WorkloadId]:
        """Whoever starts in this cycle, or has others stopped for it."""
        launches = [*self.launches, *(each.launch for each in self.preemptions)]
        return {launch.workload_id for launch in launches}

    def keeps_room_from(self, line: Line, gpu_class: GpuClassName) -> bool:
        """Whether room or quota of the class may be kept from it, for somebody who waits or for a booking."""
        if self.promised.keeps_any_of(gpu_class) or self.index.bookings.of_class(gpu_class):
            return True
        return self.backfill.shadow(gpu_class, line.spec) is not None

    def _enter(self, line: Line, gpu_class: GpuClassName) -> None:
        """Count a start against whoever owns it: those of theirs that follow stand where it puts them, and among
        equals behind who has started less."""
        standings, order, owner = self.index.standings, line.order, line.owner
        if line.priority_class is not None and order is not Order.FIFO:
            gpu_class_terms, factor = self.index.policy.gpu_classes[gpu_class], line.priority_class.class_factor
            standings.book(owner, line.gpus, gpu_class_terms, factor)
            mine = self._entered.setdefault(owner, {})
            before = mine[order].gpus if order in mine else 0
            mine[order] = Entered(before + line.gpus)

    def _known_place(self, order: Order, owner: EngineerId, entered: Entered) -> int:
        """As of their last start in that order: most start one thing in a cycle, and nobody asks."""
        if entered.place is None:
            entered.place = self.index.standings.place_after_bookings(order, owner)
        return entered.place

    def _book_hours(self, owner: EngineerId, shares: tuple[FundingShare, ...]) -> None:
        """Book what is started, or moved: their places as of before are looked up before it."""
        for order, entered in self._entered.get(owner, {}).items():
            self._known_place(order, owner, entered)
        self.index.hours.book(shares)

    def launch(
        self, lane: Lane, line: Line, workload_id: WorkloadId, room: Room, shares: tuple[FundingShare, ...]
    ) -> None:
        index, spec, pool = self.index, line.spec, lane.key.pool
        is_borrowed = self._count(lane, line, workload_id, room.gpu_class, shares, index.quotas.use)
        self.planned.count(index.capacity.occupy, room.placement, spec.pod, by=1)
        launch = Launch(
            workload_id,
            room.gpu_class,
            room.placement,
            pool,
            shares,
            is_funded=lane.key.is_funded,
            is_borrowed=is_borrowed,
        )
        if line.pods_max > spec.pods:
            self.widened.append((len(self.launches), line))
        self.launches.append(launch)
        self.backfill.launched(launch, spec)
        self.alone[workload_id] = evidence.launching(spec, room.gpu_class, room.placement)

    def widen(self, position: int, more: Placement, line: Line, **changes: Any) -> None:
        """What starts there takes more pods, which were counted, and whatever else that changes of its launch."""
        known = self.launches[position]
        placement = Placement(tuple(sorted(known.placement.together_with(more).pods_by_node)))
        launch = self.launches[position] = replace(known, placement=placement, **changes)
        spec = replace(line.spec, pods=launch.placement.pods)
        self.alone[launch.workload_id] = evidence.launching(spec, launch.gpu_class, launch.placement)

    def add_pods(
        self,
        lane: Lane,
        line: Line,
        workload_id: WorkloadId,
        placement: Placement,
        shares: tuple[FundingShare, ...],
    ) -> bool:
        """Count more pods of what starts or runs: those of this line alone. Returns whether the pool borrows for them."""
        index, gpu_class, pod = self.index, lane.key.gpu_classes[0], line.spec.pod
        is_borrowed = self._count(lane, line, workload_id, gpu_class, shares, index.quotas.use)
        self.planned.count(index.capacity.occupy, placement, pod, by=1)
        more = Launch(
            workload_id,
            gpu_class,
            placement,
            lane.key.pool,
            shares,
            is_funded=lane.key.is_funded,
            is_borrowed=is_borrowed,
        )
        self.backfill.launched(more, line.spec)
        return is_borrowed

    def launch_reserved(self, workload: Workload, reservation: Reservation) -> None:
        """Its hours are held, and its pool and limits count it, since its victims were chosen."""
        index, pod, placement = self.index, workload.spec.pod, reservation.placement
        pool = index.policy.pool_of_team.get(workload.team)
        if not reservation.is_move:  # what is moved has had its new place since it was chosen
            self.planned.count(index.capacity.occupy, placement, pod, by=1)
            self.planned.count(index.capacity.claim, placement, pod, by=-1)
        if pool is not None:
            self.planned.count(index.quotas.hold, pool.name, reservation.gpu_class, by=reservation.pods * pod.gpus)
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
        spec = replace(workload.spec, pods=reservation.pods)
        self.backfill.launched(launch, spec)
        self.alone[workload.id] = evidence.launching(spec, reservation.gpu_class, placement)

    def launch_inside(self, booking: Attempt, line: Line, workload_id: WorkloadId, placement: Placement) -> None:
        """Its booking has its GPUs, its quota and its hours; limits and spend guards count it."""
        self.occupy_inside(booking, line, workload_id, placement)
        self.inside.add(workload_id)
        self.launches.append(
            Launch(workload_id, booking.gpu_class, placement, booking.pool, (), booking_id=booking.workload_id)
        )
        self.alone[workload_id] = evidence.launching(line.spec, booking.gpu_class, placement)

    def occupy_inside(self, booking: Attempt, line: Line, workload_id: WorkloadId, placement: Placement) -> None:
        """Pods of a line take GPUs that their booking keeps."""
        index, pod = self.index, line.spec.pod
        self.planned.count(index.capacity.occupy, placement, pod, by=1)
        for name, pods in placement.pods_by_node:
            here, kept = Placement(((name, 1),)), pod_of(pods * pod.gpus)
            self.planned.count(index.capacity.occupy, here, kept, by=-1)
        self._spend(line, booking.gpu_class, workload_id)
        self._count_limits(line)

    def preempt(
        self, lane: Lane, line: Line, workload_id: WorkloadId, found: Found, shares: tuple[FundingShare, ...]
    ) -> None:
        index, spec, pool = self.index, line.spec, lane.key.pool
        for victim, attempt in zip(found.victims, found.attempts, strict=True):
            self.planned.count(index.capacity.stop, attempt.placement, attempt.pod, by=1)
            if attempt.is_funded:
                self.planned.count(index.quotas.promise, attempt.pool, attempt.gpu_class, by=-attempt.gpus)
            if victim.pods_left is None:
                self.planned.victims.add(attempt.id)
            else:
                left = self.planned.left_of(index.running.attempts[attempt.id])
                self.planned.shrunk[attempt.id] = left.shrunk_to(victim.pods_left)
        for move in found.moves:
            self._take_place(move)
        self.planned.stopped_gpus += found.gpus
        self.backfill.preempted(found.attempts)
        is_borrowed = self._count(lane, line, workload_id, found.gpu_class, shares, index.quotas.promise)
        self.planned.count(index.capacity.claim, found.placement, spec.pod, by=1)
        launch = Launch(workload_id, found.gpu_class, found.placement, pool, shares, is_borrowed=is_borrowed)
        until = kept_until(found.attempts, index.now)
        moves = tuple(move.launch for move in found.moves)
        self.preemptions.append(Preemption(launch, found.victims, until, moves))
        self.alone[workload_id] = evidence.awaiting_preemption(spec, found.gpu_class, len(found.victims))

    def _take_place(self, move: Move) -> None:
        """Its new place is taken at once; what it gives up of its quota is promised to itself."""
        index, attempt, launch = self.index, move.attempt, move.launch
        self.planned.count(index.capacity.occupy, launch.placement, attempt.pod, by=1)
        self.planned.count(index.quotas.promise, attempt.pool, attempt.gpu_class, by=attempt.gpus)
        self._book_hours(attempt.owner, launch.funding)
        again = index.lines.detached(index.launched[attempt.workload_id], is_aged=False)
        index.spending.book_line(again, attempt.gpu_class)

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
        index, planned, gpus = self.index, self.planned, line.spec.gpus
        self._spend(line, gpu_class, workload_id)
        self._count_limits(line)
        if not lane.key.is_funded:
            planned.unfunded_of_owner[line.owner] = planned.unfunded_of_owner.get(line.owner, 0) + gpus
            return False
        self._book_hours(line.owner, shares)
        self._enter(line, gpu_class)
        planned.count(count_quota, lane.key.pool, gpu_class, by=gpus)
        return index.quotas.over_nominal(lane.key.pool, gpu_class) > 0

    def _count_limits(self, line: Line) -> None:
        """Count a start against what its owner, team and array may run at once."""
        planned, gpus = self.planned, line.spec.gpus
        planned.of_owner[line.owner] = planned.of_owner.get(line.owner, 0) + gpus
        if line.array is not None:
            planned.of_array[line.array] = planned.of_array.get(line.array, 0) + 1
        planned.of_team[line.team] = planned.of_team.get(line.team, 0) + gpus

    def counts_against(self, line: Line) -> bool:
        """Whether limits on its owner, team or array count anything that this cycle starts."""
        planned = self.planned
        if line.owner in planned.of_owner or line.array in planned.of_array:
            return True
        return line.team in planned.of_team and self.index.policy.limits.gpus_per_team is not None

    def _spend(self, line: Line, gpu_class: GpuClassName, workload_id: WorkloadId) -> None:
        """Count a start against spend guards, and warn whoever goes beyond a soft limit: once, of what starts and is
        widened with all of its pods."""
        spending, terms, spec = self.index.spending, line.priority_class, line.spec
        if spending.guards and terms is not None:
            weight = self.index.policy.gpu_classes[gpu_class].weight
            known = self._spent.get(workload_id)
            if known is not None:
                spending.book(line.owner, line.team, known, weight, terms, by=-1)
                spec = replace(spec, pods=known.pods + spec.pods)
            over = spending.over_soft(line.owner, line.team, spec, weight, terms)
            if over is not None:
                said = evidence.spend_guard(over, Reason.SPEND_WARNING)
                self.warnings[workload_id] = Verdict(workload_id, said.reason, said.evidence)
            spending.book(line.owner, line.team, spec, weight, terms)
            self._spent[workload_id] = spec

    def launches_of(self, gpu_class: GpuClassName) -> list[tuple[Launch, WorkloadSpec]]:
        return self.backfill.launched_in(gpu_class)

    def refusal_to_stop(self, found: Found) -> Ruling | None:
        """Whether a brake forbids it: preemption paused, or too many GPUs stopped in ten minutes."""
        index = self.index
        pause = index.pause(Brake.PREEMPT)
        if pause is not None:
            return evidence.preemption_paused(pause, len(found.victims))
        limit = index.policy.preempt_rate.limit(index.running.gpus)
        stopped = stopped_recently(index.stops, Brake.PREEMPT, index.now) + self.planned.stopped_gpus
        if limit is not None and stopped + found.gpus > limit:
            return evidence.stop_rate(found.gpus, stopped, limit)
        return None

    def undo(self) -> None:
        """Take back what was booked."""
        self.planned.roll_back()
        self.index.hours.forget()
        self.index.standings.forget()
        self.index.spending.forget()
