"""The snapshot under one policy, indexed by what a change may concern, and kept up to date with what changed.

Everything in it follows from the snapshot alone, in whatever steps its changes came (`absorbing.py`). What is to be
judged anew is collected in `dirty_lines`, `moved_lines`, `dirty_parties`, `dirty_lanes` and `unheard`.
"""

from collections import defaultdict
from collections.abc import Hashable

from scheduler.decision.keeping.bookings import Bookings
from scheduler.decision.keeping.claims import Claims
from scheduler.decision.limits.concurrency import Concurrency
from scheduler.decision.limits.off_peak import OffPeakTimes
from scheduler.decision.limits.quota import Quotas
from scheduler.decision.limits.spending import OverGuard, Spending
from scheduler.decision.ordering.ageing import Ageing
from scheduler.decision.ordering.hours import Hours
from scheduler.decision.ordering.lanes import LaneIndex
from scheduler.decision.ordering.lines import LineIndex
from scheduler.decision.ordering.queue import Lane, Line, Party
from scheduler.decision.ordering.standings import Standings
from scheduler.decision.ordering.timers import Timers
from scheduler.decision.ordering.turns import Held
from scheduler.decision.placing.capacity import Capacity
from scheduler.decision.placing.ends import Ends
from scheduler.decision.placing.running import Running
from scheduler.decision.placing.shape import Shape
from scheduler.decision.snapshot import Changes, Reservation
from scheduler.domain.allowances import Holder
from scheduler.domain.brakes import Brake, Pause, Stop
from scheduler.domain.policy import Order, Policy
from scheduler.domain.terms import Prices, Terms
from scheduler.domain.units import (
    AttemptId,
    GpuClassName,
    Instant,
    PoolName,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt, Workload


class Index:
    """The world as of the last change, under one policy and at prices that stay the same."""

    def __init__(self, policy: Policy, prices: Prices | None = None) -> None:
        self.now = Instant(0)
        self.policy = policy
        self.prices = prices
        self.pauses: tuple[Pause, ...] = ()
        self.stops: tuple[Stop, ...] = ()
        self.queued: dict[WorkloadId, Workload] = {}
        self.launched: dict[WorkloadId, Workload] = {}
        self.reservations: dict[WorkloadId, Reservation] = {}
        self.capacity = Capacity(policy.topology)
        self.quotas = Quotas.of(policy)
        self.bookings = Bookings(self.capacity, self.quotas)
        self.running = Running(policy)
        self.hours = Hours()
        self.lines = LineIndex(policy)
        self.concurrency = Concurrency(policy, self.lines)
        self.off_peak = OffPeakTimes(policy, self.capacity)
        self.lanes = LaneIndex()
        self.standings = Standings(policy, self.hours, self.lines)
        self.spending = Spending(policy)
        self.placeable: dict[tuple[GpuClassName, Shape, int], bool] = {}
        """Whether a class's nodes could hold so many pods of a shape, as last looked at."""
        self.nodes_taken = 0  # how often nodes have changed
        self.terms: dict[Hashable, Terms] = {}
        """What work pays by, as far as it was asked: policy and prices stay the same."""
        self.dirty_lines: dict[Line, None] = {}
        self.dirty_parties: dict[Party, None] = {}
        """Those whose payers' balances changed."""
        self.moved_lines: dict[Line, None] = {}
        """Lines that only changed their place: somebody came or went."""
        self.dirty_lanes: dict[Lane, None] = {}
        self.sent_away: list[Held] = []
        """Lines whose owner the last cycle's starts brought to the limit again, before they were looked at."""
        self.ends: dict[GpuClassName, Ends] = defaultdict(Ends)
        self.ending_gpus: dict[tuple[PoolName, GpuClassName], int] = defaultdict(int)
        """Of a pool's quota, what attempts use that are being stopped."""
        self.claims = Claims(policy, self.capacity, self.quotas, self.concurrency, (self.spending, self.standings))
        self.held_back: set[WorkloadId] = set()
        self.touched_classes: set[GpuClassName] = set()
        """GPU classes of which room, quota or victims changed."""
        self.touched_roots: set[tuple[str, GpuClassName]] = set()
        """Cohorts, and pools without one, of whose quota of a class another part is used."""
        self.unheard: set[WorkloadId] = set()
        """Workloads in no line that must be told why: held back, or waiting for their victims."""
        self.ageing = Ageing(policy)
        self.allowance_times: Timers[Holder] = Timers()
        """When allowances open and expire, by whose they are."""
        self.own_times: Timers[WorkloadId] = Timers()
        """Of queued workloads: begin times, latest starts, ends of preemption delays."""
        self.protections: Timers[AttemptId] = Timers()
        """Ends of minimum runtimes."""

    def as_changes(self) -> Changes:
        """The whole of it, as changes to nothing."""
        return Changes(
            nodes=dict(self.capacity.nodes),
            queued=dict(self.queued),
            attempts={**self.bookings.attempts, **self.running.attempts},
            launched=dict(self.launched),
            balances=dict(self.hours.balances),
            reservations=dict(self.reservations),
            tiers=dict(self.concurrency.tiers),
            usage=dict(self.standings.usage),
            spent=dict(self.spending.past),
            pauses=self.pauses,
            stops=self.stops,
        )

    def pause(self, brake: Brake) -> Pause | None:
        return next((pause for pause in self.pauses if pause.brake is brake), None) if self.pauses else None

    def wakes_at(self) -> Instant:
        """When time alone next changes something for those that wait."""
        due = [timers.next_at() for timers in (self.allowance_times, self.own_times, self.protections, self.bookings)]
        due += [reservation.until for reservation in self.reservations.values() if not reservation.is_move]
        return min([self.standings.wakes_at(), *(at for at in due if at is not None)])

    def standing(self, line: Line) -> int:
        """Where a line stands among those of its rank and pool, the smaller the earlier."""
        return line.standing_from(self.standings.place(line.order, line.party.owner))

    def place_of_victim(self, attempt: Attempt) -> int:
        """By the order of its pool; by pace where that is first in, first out."""
        pool = self.policy.pools.get(attempt.pool)
        looks_back = pool is not None and pool.order is Order.FAIR_SHARE
        return self.standings.place(Order.FAIR_SHARE if looks_back else Order.PACE, attempt.owner)

    def over_guard(self, line: Line, gpu_class: GpuClassName) -> OverGuard | None:
        """The spend guard that a start of the line on that class would exceed."""
        if not self.spending.guards or line.priority_class is None:
            return None
        weight = self.policy.gpu_classes[gpu_class].weight
        return self.spending.over_hard(line.owner, line.team, line.spec, weight, line.priority_class)

    def within_guards(self, line: Line) -> tuple[GpuClassName, ...]:
        """Of the GPU classes that the line may run on, those on which a start would exceed no spend guard."""
        names = tuple([gpu_class for gpu_class, _ in line.costs])
        return tuple(name for name in names if self.over_guard(line, name) is None) if self.spending.guards else names
