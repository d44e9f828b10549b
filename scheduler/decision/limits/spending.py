"""What spend guards count: the use of a window so far, and what will be used of it by what runs, has its victims ending,
and is planned.

Counted to the end of each time limit, in this window and in those to come, so that what starts now cannot carry its owner
over the guard later. It is looked at as of the last re-ordering of queues, and changes with attempts and windows alone:
what starts just before the next one reaches furthest into the windows to come, and counts so.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from scheduler.decision.ordering.queue import Line
from scheduler.decision.placing.ends import latest_end_if_started
from scheduler.decision.snapshot import Reservation
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.guards import GuardWindow, PastSpend, SpendGuard, used_by, used_in, windows_from
from scheduler.domain.latest import put
from scheduler.domain.periods import Period
from scheduler.domain.policy import Policy, PriorityClass
from scheduler.domain.units import AttemptId, GpuClassName, Instant, PerMille, WorkloadId
from scheduler.domain.usage import REORDERED_EVERY_MS
from scheduler.domain.workloads import Attempt, Workload, WorkloadSpec


class WhichWindow(StrEnum):
    NOW = "this"
    NEXT = "the next"
    LATER = "a later"


@dataclass(frozen=True, slots=True)
class OverGuard:
    """A guard that a start would exceed: used and planned without it, and what it would use of the window, which is
    the one of now, the next to begin, or a longer one after that."""

    guard: SpendGuard
    used: int
    needed: int
    limit: int
    which: WhichWindow


@dataclass(frozen=True, slots=True)
class _Reach:
    """What a start would use of one window of a guard, beside what is used and planned of it."""

    guard: SpendGuard
    period: Period
    used: int
    needed: int


def rate_reserved(policy: Policy, workload: Workload, reservation: Reservation) -> int:
    """GPUs × weight × class factor of what starts when its victims have ended; 0 where the policy has no such class."""
    gpu_class = policy.gpu_classes.get(reservation.gpu_class)
    terms = policy.priority_classes.get(workload.spec.priority_class)
    if gpu_class is None or terms is None:
        return 0
    return reservation.pods * workload.spec.pod.gpus * gpu_class.weight * terms.class_factor


class Spending:
    """Live attempts by holder, and what is over, for the guards of one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.guards = policy.spend_guards
        self.past: dict[Holder, PastSpend] = {}
        self.touched: set[Holder] = set()
        """Whose use of a window may be another."""
        self._running: dict[Holder, dict[AttemptId, Attempt]] = defaultdict(dict)
        self._reserved: dict[Holder, dict[WorkloadId, tuple[int, WorkloadSpec]]] = defaultdict(dict)
        """What starts when its victims have ended, and its rate."""
        self._sums: dict[tuple[str, Holder], dict[Period, int]] = defaultdict(dict)
        self._booked: dict[tuple[str, Holder, Period], int] = {}
        self._windows: dict[GuardWindow, tuple[Period, ...]] = {}
        self._at = Instant(0)

    def pass_time(self, at: Instant) -> None:
        """Queues are re-ordered: another window may have begun."""
        self._at = at
        windows = {guard.window: windows_from(guard.window, at, self._policy.time_zone) for guard in self.guards}
        if windows != self._windows or self._reserved:
            self._windows = windows
            self._sums.clear()

    def started(self, attempt: Attempt) -> None:
        for holder in self._holders(attempt):
            self._running[holder][attempt.id] = attempt
            self._touch(holder)

    def ended(self, attempt: Attempt) -> None:
        for holder in self._holders(attempt):
            del self._running[holder][attempt.id]
            self._touch(holder)

    def reserve(self, workload: Workload, reservation: Reservation, sign: int) -> None:
        """Its victims were chosen; −1: it starts, or is judged anew."""
        rate = rate_reserved(self._policy, workload, reservation)
        for holder in self._holders(workload):
            put(self._reserved[holder], workload.id, (rate, workload.spec) if sign > 0 else None)
            self._touch(holder)

    def set_past(self, holder: Holder, past: PastSpend | None) -> None:
        if past is None:
            self.past.pop(holder, None)
        else:
            self.past[holder] = past
        self._touch(holder)

    def over_hard(
        self, owner: str, team: str, spec: WorkloadSpec, weight: PerMille, terms: PriorityClass
    ) -> OverGuard | None:
        """The first hard limit that a start would exceed, with what this cycle has booked."""
        for each in self._each(owner, team, spec, weight, terms):
            if each.guard.hard is not None and each.used + each.needed > each.guard.hard:
                return self._over(each, each.guard.hard)
        return None

    def over_soft(
        self, owner: str, team: str, spec: WorkloadSpec, weight: PerMille, terms: PriorityClass
    ) -> OverGuard | None:
        for each in self._each(owner, team, spec, weight, terms):
            if each.guard.soft is not None and each.used + each.needed > each.guard.soft:
                return self._over(each, each.guard.soft)
        return None

    def book(
        self, owner: str, team: str, spec: WorkloadSpec, weight: PerMille, terms: PriorityClass, *, by: int = 1
    ) -> None:
        """Count a start that this cycle plans; −1 takes it back."""
        for each in self._each(owner, team, spec, weight, terms):
            key = (each.guard.name, each.guard.holder(owner, team), each.period)
            self._booked[key] = self._booked.get(key, 0) + by * each.needed

    def book_line(self, line: Line, gpu_class: GpuClassName, *, by: int = 1) -> None:
        """The same of one workload of a line."""
        if self.guards and line.priority_class is not None:
            weight = self._policy.gpu_classes[gpu_class].weight
            self.book(line.owner, line.team, line.spec, weight, line.priority_class, by=by)

    def forget(self) -> None:
        """Drop the bookings of a cycle."""
        self._booked.clear()

    def _each(
        self, owner: str, team: str, spec: WorkloadSpec, weight: PerMille, terms: PriorityClass
    ) -> Iterator[_Reach]:
        """The windows of guards that a start would use anything of."""
        rate = spec.gpus * weight * terms.class_factor
        for guard in self.guards:
            holder = guard.holder(owner, team)
            for period in self._windows.get(guard.window, ()):
                until = self._latest_end(spec, period)
                if until <= period.starts_at:
                    break
                booked = self._booked.get((guard.name, holder, period), 0)
                used = self._sum(guard, holder, period) + booked
                yield _Reach(guard, period, used, used_in(period, rate, self._at, until))

    def _latest_end(self, spec: WorkloadSpec, period: Period) -> Instant:
        """With which it uses most of that window, whenever it starts until the next re-ordering."""
        is_to_come = period.starts_at > self._at
        latest_start = Instant(self._at + REORDERED_EVERY_MS) if is_to_come else self._at
        return latest_end_if_started(spec, latest_start)

    def _over(self, reach: _Reach, limit: int) -> OverGuard:
        to_come = [each for each in self._windows[reach.guard.window] if each.starts_at > self._at]
        if reach.period not in to_come:
            which = WhichWindow.NOW
        else:
            which = WhichWindow.NEXT if reach.period == to_come[0] else WhichWindow.LATER
        return OverGuard(reach.guard, reach.used, reach.needed, limit, which)

    def _sum(self, guard: SpendGuard, holder: Holder, period: Period) -> int:
        sums = self._sums[guard.name, holder]
        known = sums.get(period)
        if known is None:
            known = self.past.get(holder, PastSpend()).of(guard.window, period)
            running = self._running.get(holder, {}).values()
            known += sum(used_by(attempt, period) for attempt in running)
            for rate, spec in self._reserved.get(holder, {}).values():
                known += used_in(period, rate, self._at, self._latest_end(spec, period))
            sums[period] = known
        return known

    def _holders(self, work: Attempt | Workload) -> tuple[Holder, ...]:
        if not self.guards:
            return ()
        return (Holder(HolderKind.ENGINEER, work.owner), Holder(HolderKind.TEAM, work.team))

    def _touch(self, holder: Holder) -> None:
        self.touched.add(holder)
        for guard in self.guards:
            self._sums.pop((guard.name, holder), None)
