"""Bookings: GPUs kept for somebody's window, as attempts without a Job that hold their nodes from their start.

While one is active, what its owner's work does not use of it is claimed: nobody else gets it, and its pool's quota
counts it. Before it starts, `kept` says how much of each node must stay free of work that would still run by then.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from scheduler.decision.limits.quota import Quotas
from scheduler.decision.ordering.timers import Timers
from scheduler.decision.placing.capacity import Capacity
from scheduler.decision.placing.ends import Ends, latest_end, latest_end_if_started
from scheduler.decision.placing.fit_table import FitTable, IntArray
from scheduler.decision.plan import Launch
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.latest import put
from scheduler.domain.units import AttemptId, GpuClassName, Instant, NodeName, PoolName, WorkloadId
from scheduler.domain.workloads import Attempt, WorkloadSpec

GpusOn = dict[NodeName, int]


def is_active(booking: Attempt, now: Instant) -> bool:
    return booking.launched_at <= now < booking.booked_until


def goes_before(one: Attempt, other: Attempt) -> bool:
    """Whether of two bookings it is this one that has its GPUs, where a node has too few for both: it began first."""
    return one.is_booking and (one.launched_at, one.id) < (other.launched_at, other.id)


def gpus_on(attempt: Attempt) -> GpusOn:
    return {name: pods * attempt.pod.gpus for name, pods in attempt.placement.pods_by_node}


@dataclass(frozen=True, slots=True)
class Kept:
    """What work that ends too late must leave free: for the booking that starts first, and how many GPUs by node.

    `missing` is, at each start of a booking, what that lacks on each node beside what will have ended by then; below 0,
    what is left there.
    """

    booking_id: WorkloadId
    gpu_class: GpuClassName
    at: Instant
    gpus: IntArray
    missing: tuple[tuple[Instant, IntArray], ...]

    def beside(self, table: FitTable, row: int, counts: IntArray) -> IntArray:
        """Pods that fit on each node beside what is kept there."""
        left = counts.copy()
        for position in np.flatnonzero(self.gpus).tolist():
            room = table.available[:, position].copy()
            room[0] -= self.gpus[position]
            left[position] = min(int(counts[position]), table.pods_in(row, room))
        return left


class Bookings:
    """Those that are live, by their attempts, and who runs inside them."""

    def __init__(self, capacity: Capacity, quotas: Quotas) -> None:
        self.attempts: dict[AttemptId, Attempt] = {}
        self.touched: set[tuple[PoolName | None, GpuClassName]] = set()
        """Of whose room and quota another part is taken."""
        self._capacity = capacity
        self._quotas = quotas
        self._by_id: dict[WorkloadId, Attempt] = {}
        self._inside: dict[WorkloadId, dict[AttemptId, Attempt]] = defaultdict(dict)
        self._claimed: dict[WorkloadId, tuple[Attempt, GpusOn]] = {}
        """What each active one has taken: its quota, and GPUs that nothing inside uses."""
        self._of_class: dict[GpuClassName, list[Attempt]] = {}
        self._due: Timers[WorkloadId] = Timers()

    # --- what changes them -----------------------------------------------------------------------------------------

    def take(self, attempt_id: AttemptId, booking: Attempt | None, now: Instant) -> None:
        """One was made, changed, or is over."""
        old = self.attempts.get(attempt_id)
        known = booking if booking is not None else old
        if known is None or old == booking:
            return
        put(self.attempts, attempt_id, booking)
        put(self._by_id, known.workload_id, booking)
        if booking is not None:
            for at in (booking.launched_at, booking.booked_until):
                if at > now:
                    self._due.set(at, booking.workload_id)
        self._of_class.clear()
        self._renew(known.workload_id, now)

    def take_inside(self, attempt: Attempt, sign: int, now: Instant) -> None:
        """Somebody runs inside one, or (−1) no longer."""
        assert attempt.booking_id is not None, "it runs inside one"
        put(self._inside[attempt.booking_id], attempt.id, attempt if sign > 0 else None)
        self._renew(attempt.booking_id, now)

    def wake(self, now: Instant) -> None:
        """Time alone starts and ends them."""
        for booking_id in self._due.pop_due(now):
            self._renew(booking_id, now)

    def next_at(self) -> Instant | None:
        return self._due.next_at()

    def _renew(self, booking_id: WorkloadId, now: Instant) -> None:
        """Claim what it keeps from everybody else now, in place of what it claimed before."""
        before = self._claimed.pop(booking_id, None)
        if before is not None:
            self._claim(*before, -1)
        booking = self._by_id.get(booking_id)
        if booking is not None and is_active(booking, now):
            claim = self._claimed[booking_id] = (booking, self._left_of(booking))
            self._claim(*claim, 1)

    def _claim(self, booking: Attempt, gpus: GpusOn, sign: int) -> None:
        for name, count in gpus.items():
            # Occupied, not claimed: a claim would be served by what others stop for somebody else, and lend what is free.
            self._capacity.occupy(Placement(((name, 1),)), pod_of(count), sign)
        self._quotas.use(booking.pool, booking.gpu_class, sign * booking.gpus)
        self.touched.add((booking.pool, booking.gpu_class))

    def _left_of(self, booking: Attempt) -> GpusOn:
        left = gpus_on(booking)
        for attempt in self._inside[booking.workload_id].values():
            for name, gpus in gpus_on(attempt).items():
                left[name] = max(0, left.get(name, 0) - gpus)
        return left

    # --- reading ---------------------------------------------------------------------------------------------------

    def active(self, now: Instant) -> list[Attempt]:
        """In the order of their starts."""
        found = [booking for booking in self.attempts.values() if is_active(booking, now)]
        return sorted(found, key=lambda booking: (booking.launched_at, booking.id))

    def inside(self, booking: Attempt) -> list[Attempt]:
        """Those that run inside it."""
        return list(self._inside[booking.workload_id].values())

    def left(self, booking: Attempt) -> GpusOn:
        """GPUs of each of its nodes that are kept for its owner and that nothing inside uses."""
        return dict(self._claimed[booking.workload_id][1])

    def unused(self, booking: Attempt) -> GpusOn:
        """Those of them that nothing else uses either, which should have ended before it began and has not."""
        kept = self._claimed[booking.workload_id][1]
        return {name: max(0, gpus - self._lacking(booking, name)) for name, gpus in kept.items()}

    def _lacking(self, booking: Attempt, name: NodeName) -> int:
        """GPUs of what it keeps on the node that are not there, beside those that bookings after it go without."""
        lacking = -self._capacity.free_gpus(name)
        if lacking <= 0:
            return 0
        after = (left.get(name, 0) for other, left in self._claimed.values() if goes_before(booking, other))
        return max(0, lacking - sum(after))

    def of_class(self, gpu_class: GpuClassName) -> list[Attempt]:
        """In the order of their starts."""
        if not self.attempts:
            return []
        known = self._of_class.get(gpu_class)
        if known is None:
            here = [booking for booking in self.attempts.values() if booking.gpu_class == gpu_class]
            known = self._of_class[gpu_class] = sorted(here, key=lambda each: (each.launched_at, each.id))
        return known

    def kept(
        self,
        gpu_class: GpuClassName,
        ends: Ends,
        until: Instant,
        now: Instant,
        launched: Iterable[tuple[Launch, WorkloadSpec]] = (),
        preempted: Iterable[Attempt] = (),
    ) -> Kept | None:
        """What work that runs until then must leave free for those that start before: None where there are none. What
        ends before one starts, and what this cycle `launched` that does, is free by then, but not what it `preempted`:
        that is somebody's already."""
        bookings = self.of_class(gpu_class)
        known = bookings[: bisect_left(bookings, until, key=lambda booking: booking.launched_at)]
        ahead = [booking for booking in known if booking.launched_at > now]
        if not ahead:
            return None
        table = self._capacity.table(gpu_class)
        table.refresh()
        nodes = len(table.names)
        kept = np.zeros(nodes, dtype=np.int64)
        by_start: list[tuple[Instant, IntArray]] = []
        ending = [(latest_end_if_started(each, now), launch.placement, each.pod.gpus) for launch, each in launched]
        ending += [(b.booked_until, b.placement, b.pod.gpus) for b in bookings if is_active(b, now)]
        ending += [(latest_end(a), a.placement, -a.pod.gpus) for a in preempted]
        for at in sorted({booking.launched_at for booking in ahead}):
            missing = -ends.freed_by(at, nodes)[0]
            for booking in ahead:
                if is_active(booking, at):
                    _add(table, missing, booking.placement, booking.pod.gpus)
            for ended_at, placement, gpus in ending:
                if ended_at <= at:
                    _add(table, missing, placement, -gpus)
            np.maximum(kept, missing, out=kept)
            by_start.append((at, missing))
        return Kept(ahead[0].workload_id, gpu_class, ahead[0].launched_at, kept, tuple(by_start))


def pod_of(gpus: int) -> PodRequest:
    """What is kept on a node, as a request: GPUs alone."""
    return PodRequest(gpus=gpus, cpu_milli=0, memory_mib=0)


def _add(table: FitTable, gpus: IntArray, placement: Placement, each: int) -> None:
    for name, pods in placement.pods_by_node:
        position = table.index.get(name)
        if position is not None:
            gpus[position] += pods * each
