"""Where people stand among equals, by the order of a pool: by pace or by fair share. Nobody stands anywhere in a
queue that is first in, first out.

A place is one of ten, 0 first. It changes at stated instants alone: a pace's when it crosses into another band, a
fair share's when queues are re-ordered.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from scheduler.decision.ordering.hours import Hours
from scheduler.decision.ordering.lines import LineIndex
from scheduler.decision.ordering.timers import Timers
from scheduler.decision.snapshot import Reservation
from scheduler.domain.cluster import GpuClass
from scheduler.domain.pace import BANDS, pace_band
from scheduler.domain.periods import Period, period_at
from scheduler.domain.policy import Order, Policy
from scheduler.domain.units import AttemptId, EngineerId, GpuClassName, Instant, PerMille
from scheduler.domain.usage import (
    REORDERED_EVERY_MS,
    DecayedUse,
    entry_use,
    reordering_at,
    share_per_million,
    use_band,
    use_of,
)
from scheduler.domain.workloads import Attempt, Workload

Seat = tuple[Order, EngineerId]
"""Somebody in one of the orders: what they run may be in several pools."""

_NO_PERIOD = Period("", Instant(0), Instant(0))


class Standings:
    """The places of those who were asked about, kept up to date with what changed."""

    def __init__(self, policy: Policy, hours: Hours, lines: LineIndex) -> None:
        self.now = Instant(0)
        self.period = _NO_PERIOD
        self.reordered_at = Instant(0)
        self._policy = policy
        self._hours = hours
        self._lines = lines
        self._places: dict[Order, dict[EngineerId, int]] = defaultdict(dict)
        self._restless: set[Seat] = set()
        """Those whose place may be another."""
        self._bands: Timers[EngineerId] = Timers()
        self.usage: dict[EngineerId, DecayedUse] = {}
        self._running: dict[EngineerId, dict[AttemptId, Attempt]] = defaultdict(dict)
        self._capacity = 0
        self._booked: dict[EngineerId, int] = {}
        self._reserved: dict[EngineerId, int] = defaultdict(int)
        """What those weigh that start when their victims have ended."""
        self._looks_back = policy.looks_back

    # --- what changes places ---------------------------------------------------------------------------------------

    def pass_time(self, now: Instant) -> bool:
        """Take the time. Returns whether queues are to be re-ordered now."""
        self.now = now
        if not self.period.contains(now):
            self.period = period_at(now, self._policy.period, self._policy.time_zone)
            self._disturb_all(Order.PACE)
        self._restless.update((Order.PACE, owner) for owner in self._bands.pop_due(now))
        reordered_at = reordering_at(now)
        if reordered_at == self.reordered_at:
            return False
        self.reordered_at = reordered_at
        self._disturb_all(Order.FAIR_SHARE)
        return True

    def hours_changed(self, owner: EngineerId) -> None:
        self._restless.add((Order.PACE, owner))

    def set_usage(self, owner: EngineerId, use: DecayedUse | None) -> None:
        if use is None:
            self.usage.pop(owner, None)
        else:
            self.usage[owner] = use
        self._restless.add((Order.FAIR_SHARE, owner))

    def started(self, attempt: Attempt) -> None:
        if self._looks_back:
            self._running[attempt.owner][attempt.id] = attempt
            self._restless.add((Order.FAIR_SHARE, attempt.owner))

    def ended(self, attempt: Attempt) -> None:
        if self._looks_back:
            del self._running[attempt.owner][attempt.id]
            self._restless.add((Order.FAIR_SHARE, attempt.owner))

    def reserve(self, workload: Workload, reservation: Reservation, sign: int) -> None:
        """Its victims were chosen: its owner has entered, however long they take. −1: it starts, or is judged anew."""
        gpu_class = self._policy.gpu_classes.get(reservation.gpu_class)
        terms = self._policy.priority_classes.get(workload.spec.priority_class)
        if self._looks_back and gpu_class is not None and terms is not None:
            gpus = reservation.pods * workload.spec.pod.gpus
            self._reserved[workload.owner] += sign * entry_use(gpus, gpu_class.weight, terms.class_factor)
            self._restless.add((Order.FAIR_SHARE, workload.owner))

    def set_capacity(self, gpus: Mapping[GpuClassName, int], gpu_classes: Mapping[GpuClassName, GpuClass]) -> None:
        """So many GPUs of each class are there."""
        capacity = sum(count * gpu_classes[name].weight for name, count in gpus.items() if name in gpu_classes)
        if capacity != self._capacity:
            self._capacity = capacity
            self._disturb_all(Order.FAIR_SHARE)

    def renew(self) -> Iterator[EngineerId]:
        """Whoever waits and has another place than before, in order; that of others is looked up when it is asked for."""
        for order, owner in sorted(self._restless):
            before = self._places[order].pop(owner, None)
            if before is not None and self._lines.has_any(owner) and self.place(order, owner) != before:
                yield owner
        self._restless.clear()

    def _disturb_all(self, order: Order) -> None:
        self._restless.update((order, owner) for owner in self._places[order])

    def wakes_at(self) -> Instant:
        """When time alone next moves somebody: who is at the end of a band, or all when queues are re-ordered."""
        reordered_at = Instant(self.reordered_at + REORDERED_EVERY_MS)
        return min(reordered_at, self._bands.next_at() or reordered_at)

    # --- places ----------------------------------------------------------------------------------------------------

    def place(self, order: Order, owner: EngineerId) -> int:
        """0 for who is furthest behind plan, or has used least; up to 9 for who burns fastest, or has used most."""
        if order is Order.FIFO:
            return 0
        known = self._places[order].get(owner)
        if known is None:
            known = self._places[order][owner] = self._look_up(order, owner)
        return known

    def place_after_bookings(self, order: Order, owner: EngineerId) -> int:
        """The place it would have had what this cycle planned been recorded already: the penalty at entry. Where work is
        first in, first out, there is none."""
        if order is Order.FAIR_SHARE:
            return use_band(self.share(owner, more=self._booked.get(owner, 0)))
        return BANDS - 1 - pace_band(self._hours.pace_after_bookings(owner, self.period, self.now))

    def pace(self, owner: EngineerId) -> int:
        return self._hours.pace(owner, self.period, self.now)

    def share(self, owner: EngineerId, more: int = 0) -> int:
        """What the owner used, and `more`, in millionths of the cluster, as queues were last re-ordered."""
        at, half_life_ms = self.reordered_at, self._policy.fair_share.half_life_ms
        past = self.usage.get(owner)
        used = past.seen_from(at, half_life_ms) if past is not None else 0
        used += sum(use_of(attempt, at, half_life_ms) for attempt in self._running.get(owner, {}).values())
        used += self._reserved.get(owner, 0)
        return share_per_million(used + more, self._capacity, half_life_ms)

    def book(self, owner: EngineerId, gpus: int, gpu_class: GpuClass, class_factor: PerMille) -> None:
        """Count a start that this cycle plans."""
        self._booked[owner] = self._booked.get(owner, 0) + entry_use(gpus, gpu_class.weight, class_factor)

    def forget(self) -> None:
        """Drop the bookings of a cycle."""
        self._booked.clear()

    def _look_up(self, order: Order, owner: EngineerId) -> int:
        if order is Order.FAIR_SHARE:
            return use_band(self.share(owner))
        band, changes_at = self._hours.band(owner, self.period, self.now)
        if changes_at is not None:
            self._bands.set(changes_at, owner)
        return BANDS - 1 - band
