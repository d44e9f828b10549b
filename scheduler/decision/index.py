"""The snapshot under one policy, indexed by what a change may concern, and kept up to date with what changed.

Everything in it follows from the snapshot alone, in whatever steps its changes came. What is to be judged anew is
collected in `dirty_lines`, `moved_lines`, `dirty_lanes` and `unheard`.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping

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
from scheduler.decision.ordering.queue import Lane, Line, Party, is_alike, is_held_back
from scheduler.decision.ordering.standings import Standings
from scheduler.decision.ordering.timers import Timers
from scheduler.decision.placing.capacity import Capacity
from scheduler.decision.placing.ends import Ends
from scheduler.decision.placing.running import Running, counts_for_quota
from scheduler.decision.placing.shape import Shape
from scheduler.decision.snapshot import Changes, Reservation
from scheduler.domain.allowances import AllowanceBalance, Holder, HolderKind
from scheduler.domain.brakes import Brake, Pause, Stop
from scheduler.domain.cluster import Node
from scheduler.domain.latest import put
from scheduler.domain.policy import Order, Policy
from scheduler.domain.terms import Prices, Terms
from scheduler.domain.units import (
    AllowanceId,
    AttemptId,
    EngineerId,
    GpuClassName,
    Instant,
    NodeName,
    PoolName,
    TierName,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt, AttemptState, Workload


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
        self.balances: dict[AllowanceId, AllowanceBalance] = {}
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
        self._terms: Timers[Holder] = Timers()
        self._own_times: Timers[WorkloadId] = Timers()
        """Of queued workloads: begin times, latest starts, ends of preemption delays."""
        self._protections: Timers[AttemptId] = Timers()

    def as_changes(self) -> Changes:
        """The whole of it, as changes to nothing."""
        return Changes(
            nodes=dict(self.capacity.nodes),
            queued=dict(self.queued),
            attempts={**self.bookings.attempts, **self.running.attempts},
            launched=dict(self.launched),
            balances=dict(self.balances),
            reservations=dict(self.reservations),
            tiers=dict(self.concurrency.tiers),
            usage=dict(self.standings.usage),
            spent=dict(self.spending.past),
            pauses=self.pauses,
            stops=self.stops,
        )

    def absorb(self, changes: Changes, now: Instant) -> None:
        """Take what changed, and what time changed of itself."""
        assert now >= self.now, "time does not run backwards"
        self.now = now
        if changes.pauses is not None and changes.pauses != self.pauses:
            self.pauses = changes.pauses
            self.dirty_lanes.update(dict.fromkeys(self.lanes.all()))
        self.stops = changes.stops if changes.stops is not None else self.stops
        if self.standings.pass_time(now):
            self.spending.pass_time(self.standings.reordered_at)
            self.off_peak.pass_time(self.standings.reordered_at)
            self._age()
            self._guard(self.lines.all())
        for owner, use in changes.usage.items():
            self.standings.set_usage(owner, use)
        for holder, past in changes.spent.items():
            self.spending.set_past(holder, past)
        self._take_nodes(changes.nodes)
        self.capacity.touched.clear()  # of what the last cycle booked, and has undone
        self._take_tiers(changes.tiers)
        self._take_attempts(changes.attempts)
        self._take_balances(changes.balances)
        self._take_launched(changes.launched)
        self._take_waiting(changes.queued, changes.reservations)
        self._wake()
        for touched in (self.bookings.touched, self.claims.touched):
            for pool, gpu_class in touched:
                self._touch(pool, gpu_class)
            touched.clear()
        self.touched_classes |= self.capacity.touched  # a node may be of another class than who ran there asked for
        for holder in self.spending.touched:
            self._guard(self.lines.of_holder(holder))
        self.spending.touched.clear()
        if opened := self.off_peak.renew():
            self.dirty_lines.update((line, None) for line in self.lines.all() if line.spec.priority_class in opened)
        for owner in self.standings.renew():
            self.moved_lines.update(dict.fromkeys(self.lines.of_owner(owner)))

    def pause(self, brake: Brake) -> Pause | None:
        return next((pause for pause in self.pauses if pause.brake is brake), None) if self.pauses else None

    def wakes_at(self) -> Instant:
        """When time alone next changes something for those that wait."""
        due = [timers.next_at() for timers in (self._terms, self._own_times, self._protections, self.bookings)]
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

    def _guard(self, lines: Iterable[Line]) -> None:
        """Have those judged anew that may start though a guard forbids it now, or are held back and need not be."""
        if self.spending.guards:
            for line in lines:
                if line.within is not None and self.within_guards(line) != line.within:
                    self.dirty_lines[line] = None

    # --- nodes, limits ---------------------------------------------------------------------------------------------

    def _take_nodes(self, nodes: Mapping[NodeName, Node | None]) -> None:
        if not nodes:
            return
        self.nodes_taken += 1
        had_none = not self.capacity.nodes
        concerned, laid_out = self.capacity.set_nodes(nodes)
        self.standings.set_capacity(self.capacity.gpus, self.policy.gpu_classes)
        self._lay_out_ends(laid_out)
        if had_none is bool(self.capacity.nodes):
            self.placeable.clear()
            self.dirty_lines.update(dict.fromkeys(self.lines.all()))
        self.touched_classes |= concerned
        for gpu_class in concerned:
            self.dirty_lanes.update(dict.fromkeys(self.lanes.of_several_classes(gpu_class)))
        for key in [key for key in self.placeable if key[0] in concerned]:
            before, self.placeable[key] = self.placeable[key], self.capacity.could_ever_hold(*key)
            if not (before and self.placeable[key]):  # whom none could hold hears of the largest, another by now
                self.dirty_lines.update(self.lines.by_shape.get(key[1:], {}))

    def _lay_out_ends(self, gpu_classes: set[GpuClassName]) -> None:
        if gpu_classes and self.running.attempts:
            for gpu_class in gpu_classes:
                self.ends[gpu_class] = Ends()
            for attempt in self.running.attempts.values():
                is_to_end = attempt.state is not AttemptState.STOPPING and not attempt.is_inside
                if attempt.gpu_class in gpu_classes and is_to_end:
                    self.ends[attempt.gpu_class].add(attempt, self.capacity.table(attempt.gpu_class))

    def _take_tiers(self, tiers: Mapping[EngineerId, TierName | None]) -> None:
        for owner, tier in tiers.items():
            if self.concurrency.tiers.get(owner) != tier:
                self.concurrency.set_tier(owner, tier)
                self.dirty_lines.update(dict.fromkeys(self.lines.of_owner(owner)))

    def _touch(self, pool: PoolName | None, gpu_class: GpuClassName) -> None:
        self.touched_classes.add(gpu_class)
        if pool is not None and pool in self.quotas.root_of:
            self.touched_roots.add((self.quotas.root_of[pool], gpu_class))

    # --- what runs, and what is kept for whom --------------------------------------------------------------------

    def _take_attempts(self, attempts: Mapping[AttemptId, Attempt | None]) -> None:
        for attempt_id, attempt in attempts.items():
            old = self.running.attempts.get(attempt_id)
            new = attempt if attempt is not None and attempt.is_live else None
            if attempt_id in self.bookings.attempts or (new is not None and new.is_booking):
                self.bookings.take(attempt_id, new, self.now)
                continue
            if old == new or (new is not None and self.running.takes_checkpoint(new)):
                continue
            if old is not None:
                self.running.remove(attempt_id)
                self.standings.ended(old)
                self.spending.ended(old)
                self._book_attempt(old, -1)
            if new is not None:
                self.running.add(new, self.now)
                self.standings.started(new)
                self.spending.started(new)
                self._book_attempt(new, 1)
                protected_until = self.running.protected_until(new)
                if self.now < protected_until:
                    self._protections.set(protected_until, new.id)

    def _book_attempt(self, attempt: Attempt, sign: int) -> None:
        gpus = sign * attempt.gpus
        self.capacity.occupy(attempt.placement, attempt.pod, sign)
        if attempt.leaving is not None:
            self.capacity.occupy(attempt.leaving, attempt.pod, sign)
            self.capacity.stop(attempt.leaving, attempt.pod, sign)
            if attempt.is_funded:
                self.quotas.hold(attempt.pool, attempt.gpu_class, sign * attempt.leaving_gpus)
        if attempt.is_inside:
            self.bookings.take_inside(attempt, sign, self.now)
        else:
            self._count_attempt(attempt, sign, gpus)
        self._touch(attempt.pool, attempt.gpu_class)
        gpus += sign * attempt.leaving_gpus
        self.dirty_lines.update(self.concurrency.count(attempt.workload_id, attempt.owner, attempt.team, gpus))
        if not attempt.is_funded:
            self.dirty_lines.update(dict.fromkeys(self.lines.of_owner(attempt.owner)))

    def _count_attempt(self, attempt: Attempt, sign: int, gpus: int) -> None:
        """When its GPUs come free, and whose quota it uses: so many more, or fewer."""
        is_stopping = attempt.state is AttemptState.STOPPING
        if is_stopping:
            self.capacity.stop(attempt.placement, attempt.pod, sign)
        elif sign > 0:
            self.ends[attempt.gpu_class].add(attempt, self.capacity.table(attempt.gpu_class))
        else:
            self.ends[attempt.gpu_class].remove(attempt.id)
        if counts_for_quota(attempt):
            self.quotas.use(attempt.pool, attempt.gpu_class, gpus)
            if is_stopping:
                self.ending_gpus[attempt.pool, attempt.gpu_class] += gpus
        elif attempt.is_funded:
            self.quotas.hold(attempt.pool, attempt.gpu_class, gpus)

    # --- what waits ------------------------------------------------------------------------------------------------

    def _take_launched(self, launched: Mapping[WorkloadId, Workload | None]) -> None:
        for workload_id, workload in launched.items():
            self.running.movable.launched_from(self.launched.get(workload_id), workload)
            put(self.launched, workload_id, workload)
            if workload_id in self.reservations and workload_id not in self.queued:
                self._displace(workload_id)
                self._place(workload_id)

    def _take_waiting(
        self, queued: Mapping[WorkloadId, Workload | None], reservations: Mapping[WorkloadId, Reservation | None]
    ) -> None:
        for workload_id in dict.fromkeys([*queued, *reservations]):
            known, reserved = self.queued.get(workload_id), self.reservations.get(workload_id)
            workload, reservation = queued.get(workload_id, known), reservations.get(workload_id, reserved)
            if reservation == reserved:
                if workload == known:
                    continue
                if known is not None and is_alike(workload, known) and self.ageing.are_alike(workload, known):
                    self.ageing.leave(known)
                    self.ageing.wait(workload, is_in_line=self.lines.line_of(workload_id) is not None)
                    self.queued[workload_id] = workload
                    continue
            if known is not None or reserved is not None:
                self._displace(workload_id)
            put(self.queued, workload_id, workload)
            put(self.reservations, workload_id, reservation)
            self._place(workload_id)

    def _displace(self, workload_id: WorkloadId) -> None:
        """Take a workload out of its line, or give up what is claimed for it."""
        self.unheard.discard(workload_id)
        self.held_back.discard(workload_id)
        self.dirty_lines.update(self.claims.drop(workload_id))
        line = self.lines.remove(workload_id)
        if line is not None:
            self.moved_lines[line] = None
        if workload_id in self.queued:
            self.ageing.leave(self.queued[workload_id])

    def _place(self, workload_id: WorkloadId) -> None:
        """Put a workload where it waits: with its reservation, held back, or in line."""
        workload, reservation = self.queued.get(workload_id), self.reservations.get(workload_id)
        if workload is None:
            moving = self.launched.get(workload_id)
            if moving is not None and reservation is not None and reservation.is_move:
                self.dirty_lines.update(self.claims.make(moving, reservation))
        elif reservation is not None:
            self.dirty_lines.update(self.claims.make(workload, reservation))
            self.unheard.add(workload_id)
        elif is_held_back(workload, self.now):
            self.held_back.add(workload_id)
            if workload.not_before > self.now:
                self._own_times.set(workload.not_before, workload_id)
            self.unheard.add(workload_id)
        else:
            if workload.spec.latest_start is not None:
                self._own_times.set(Instant(workload.spec.latest_start + 1), workload_id)
            line, is_new = self.lines.add(workload, is_aged=self.ageing.is_old(workload))
            if line.stops_others_from(workload.waits_since) > self.now:
                self._own_times.set(line.stops_others_from(workload.waits_since), workload_id)
            (self.dirty_lines if is_new else self.moved_lines)[line] = None
        if workload is not None:
            self.ageing.wait(workload, is_in_line=self.lines.line_of(workload_id) is not None)

    # --- hours, and what time changes ------------------------------------------------------------------------------

    def _take_balances(self, balances: Mapping[AllowanceId, AllowanceBalance | None]) -> None:
        for allowance_id, balance in balances.items():
            known = self.balances.get(allowance_id)
            if known == balance:
                continue
            put(self.balances, allowance_id, balance)
            for holder in self.hours.set(allowance_id, balance):
                self._touch_holder(holder)
            if balance is not None and (known is None or known.allowance != balance.allowance):
                for at in (balance.allowance.starts_at, balance.allowance.expires_at):
                    if at is not None and at > self.now:
                        self._terms.set(at, balance.allowance.holder)

    def _touch_holder(self, holder: Holder) -> None:
        for party in self.lines.parties_of_holder(holder):
            party.forget_means()
            self.dirty_parties[party] = None
        if holder.kind is HolderKind.ENGINEER:
            self.standings.hours_changed(EngineerId(holder.id))

    def _age(self) -> None:
        """Queues are re-ordered: what has waited too long by now goes where nothing younger is before it."""
        for workload_id in self.ageing.pop_due(self.now):
            if self.lines.line_of(workload_id) is not None:
                self._displace(workload_id)
                self._place(workload_id)

    def _wake(self) -> None:
        """What time alone changed: allowances that open or expire, begin times and delays, ends of minimum runtimes."""
        for holder in self._terms.pop_due(self.now):
            self._touch_holder(holder)
        for workload_id in self._own_times.pop_due(self.now):
            if workload_id in self.queued and workload_id not in self.claims.of:
                self._displace(workload_id)
                self._place(workload_id)
        self.bookings.wake(self.now)
        for attempt_id in self._protections.pop_due(self.now):
            attempt = self.running.attempts.get(attempt_id)
            if attempt is not None:
                self.running.expose(attempt, self.now)
                self.touched_classes.add(attempt.gpu_class)
