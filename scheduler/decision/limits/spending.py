"""What spend guards count: the use of a window so far, and what will be used of it by what runs and is planned.

Counted to the end of each time limit, so that what starts now cannot carry its owner over the guard later. It is
looked at as of the last re-ordering of queues, and changes with attempts and windows alone.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.decision.placing.ends import latest_end_if_started
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.guards import GuardWindow, PastSpend, SpendGuard, used_by, used_in, window_at
from scheduler.domain.periods import Period
from scheduler.domain.policy import Policy, PriorityClass
from scheduler.domain.units import AttemptId, Instant, PerMille
from scheduler.domain.workloads import Attempt, WorkloadSpec


@dataclass(frozen=True, slots=True)
class OverGuard:
    """A guard that a start would exceed: used and planned without it, and what it would use of the window."""

    guard: SpendGuard
    used: int
    needed: int
    limit: int


class Spending:
    """Live attempts by holder, and what is over, for the guards of one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.guards = policy.spend_guards
        self.past: dict[Holder, PastSpend] = {}
        self.touched: set[Holder] = set()
        """Whose use of a window may be another."""
        self._running: dict[Holder, dict[AttemptId, Attempt]] = defaultdict(dict)
        self._sums: dict[tuple[str, Holder], int] = {}
        self._booked: dict[tuple[str, Holder], int] = {}
        self._windows: dict[GuardWindow, Period | None] = {}
        self._at = Instant(0)

    def pass_time(self, at: Instant) -> None:
        """Queues are re-ordered: another window may have begun."""
        self._at = at
        windows = {guard.window: window_at(guard.window, at, self._policy.time_zone) for guard in self.guards}
        if windows != self._windows:
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
        for guard, used, needed in self._each(owner, team, spec, weight, terms):
            if guard.hard is not None and used + needed > guard.hard:
                return OverGuard(guard, used, needed, guard.hard)
        return None

    def over_soft(
        self, owner: str, team: str, spec: WorkloadSpec, weight: PerMille, terms: PriorityClass
    ) -> OverGuard | None:
        for guard, used, needed in self._each(owner, team, spec, weight, terms):
            if guard.soft is not None and used + needed > guard.soft:
                return OverGuard(guard, used, needed, guard.soft)
        return None

    def book(self, owner: str, team: str, spec: WorkloadSpec, weight: PerMille, terms: PriorityClass) -> None:
        """Count a start that this cycle plans."""
        for guard, _, needed in self._each(owner, team, spec, weight, terms):
            key = (guard.name, guard.holder(owner, team))
            self._booked[key] = self._booked.get(key, 0) + needed

    def forget(self) -> None:
        """Drop the bookings of a cycle."""
        self._booked.clear()

    def _each(
        self, owner: str, team: str, spec: WorkloadSpec, weight: PerMille, terms: PriorityClass
    ) -> Iterator[tuple[SpendGuard, int, int]]:
        """Guards whose window is open, what is used and planned of it, and what a start would use of it."""
        for guard in self.guards:
            period = self._windows.get(guard.window)
            if period is not None:
                holder = guard.holder(owner, team)
                used = self._sum(guard, holder, period) + self._booked.get((guard.name, holder), 0)
                rate = spec.gpus * weight * terms.class_factor
                yield guard, used, used_in(period, rate, self._at, latest_end_if_started(spec, self._at))

    def _sum(self, guard: SpendGuard, holder: Holder, period: Period) -> int:
        known = self._sums.get((guard.name, holder))
        if known is None:
            known = self.past.get(holder, PastSpend()).of(guard.window, period)
            running = self._running.get(holder, {}).values()
            known += sum(used_by(attempt, period) for attempt in running)
            self._sums[guard.name, holder] = known
        return known

    def _holders(self, attempt: Attempt) -> tuple[Holder, ...]:
        if not self.guards:
            return ()
        return (Holder(HolderKind.ENGINEER, attempt.owner), Holder(HolderKind.TEAM, attempt.team))

    def _touch(self, holder: Holder) -> None:
        self.touched.add(holder)
        for guard in self.guards:
            self._sums.pop((guard.name, holder), None)
