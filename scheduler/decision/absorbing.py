"""Absorbing: how a change of the world enters the index, and what it has judged anew.

Only what a change may concern is touched: a node that comes concerns lines that it could hold, a balance its holder's
lines, an attempt that ends the lanes of its GPU class.
"""

from collections.abc import Iterable, Mapping

from scheduler.decision.index import Index
from scheduler.decision.ordering.queue import Line, is_alike, is_held_back
from scheduler.decision.placing.ends import Ends
from scheduler.decision.placing.running import counts_for_quota
from scheduler.decision.snapshot import Changes, Reservation
from scheduler.domain.allowances import AllowanceBalance, Holder, HolderKind
from scheduler.domain.cluster import Node
from scheduler.domain.latest import put
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


def absorb(index: Index, changes: Changes, now: Instant) -> None:
    """Take what changed, and what time changed of itself."""
    assert now >= index.now, "time does not run backwards"
    index.now = now
    if changes.pauses is not None and changes.pauses != index.pauses:
        index.pauses = changes.pauses
        index.dirty_lanes.update(dict.fromkeys(index.lanes.all()))
    index.stops = changes.stops if changes.stops is not None else index.stops
    if index.standings.pass_time(now):
        index.spending.pass_time(index.standings.reordered_at)
        index.off_peak.pass_time(index.standings.reordered_at)
        _age(index)
        _guard(index, index.lines.all())
    for owner, use in changes.usage.items():
        index.standings.set_usage(owner, use)
    for holder, past in changes.spent.items():
        index.spending.set_past(holder, past)
    _take_nodes(index, changes.nodes)
    index.capacity.touched.clear()  # of what the last cycle booked, and has undone
    _take_tiers(index, changes.tiers)
    _take_attempts(index, changes.attempts)
    _take_balances(index, changes.balances)
    _take_launched(index, changes.launched)
    _take_waiting(index, changes.queued, changes.reservations)
    _wake(index)
    _hear(index)


def _take_nodes(index: Index, nodes: Mapping[NodeName, Node | None]) -> None:
    if not nodes:
        return
    index.nodes_taken += 1
    had_none = not index.capacity.nodes
    concerned, laid_out = index.capacity.set_nodes(nodes)
    index.standings.set_capacity(index.capacity.gpus, index.policy.gpu_classes)
    _lay_out_ends(index, laid_out)
    if had_none is bool(index.capacity.nodes):
        index.placeable.clear()
        index.dirty_lines.update(dict.fromkeys(index.lines.all()))
    index.touched_classes |= concerned
    for gpu_class in concerned:
        index.dirty_lanes.update(dict.fromkeys(index.lanes.of_several_classes(gpu_class)))
    for key in [key for key in index.placeable if key[0] in concerned]:
        before, index.placeable[key] = index.placeable[key], index.capacity.could_ever_hold(*key)
        if not (before and index.placeable[key]):  # whom none could hold hears of the largest, another by now
            index.dirty_lines.update(index.lines.by_shape.get(key[1:], {}))


def _lay_out_ends(index: Index, gpu_classes: set[GpuClassName]) -> None:
    """The tables of these classes are laid out anew: what runs on them ends at other positions."""
    if gpu_classes and index.running.attempts:
        for gpu_class in gpu_classes:
            index.ends[gpu_class] = Ends()
        for attempt in index.running.attempts.values():
            is_to_end = attempt.state is not AttemptState.STOPPING and not attempt.is_inside
            if attempt.gpu_class in gpu_classes and is_to_end:
                index.ends[attempt.gpu_class].add(attempt, index.capacity.table(attempt.gpu_class))


def _take_tiers(index: Index, tiers: Mapping[EngineerId, TierName | None]) -> None:
    for owner, tier in tiers.items():
        if index.concurrency.tiers.get(owner) != tier:
            index.concurrency.set_tier(owner, tier)
            index.dirty_lines.update(dict.fromkeys(index.lines.of_owner(owner)))


def _take_attempts(index: Index, attempts: Mapping[AttemptId, Attempt | None]) -> None:
    for attempt_id, attempt in attempts.items():
        old = index.running.attempts.get(attempt_id)
        new = attempt if attempt is not None and attempt.is_live else None
        if attempt_id in index.bookings.attempts or (new is not None and new.is_booking):
            index.bookings.take(attempt_id, new, index.now)
            continue
        if old == new or (new is not None and index.running.takes_checkpoint(new)):
            continue
        if old is not None:
            index.running.remove(attempt_id)
            index.standings.ended(old)
            index.spending.ended(old)
            _book_attempt(index, old, -1)
        if new is not None:
            index.running.add(new, index.now)
            index.standings.started(new)
            index.spending.started(new)
            _book_attempt(index, new, 1)
            protected_until = index.running.protected_until(new)
            if index.now < protected_until:
                index.protections.set(protected_until, new.id)


def _book_attempt(index: Index, attempt: Attempt, sign: int) -> None:
    """Count what it takes of nodes, quotas and limits, or (−1) no longer."""
    gpus = sign * attempt.gpus
    index.capacity.occupy(attempt.placement, attempt.pod, sign)
    if attempt.leaving is not None:
        index.capacity.occupy(attempt.leaving, attempt.pod, sign)
        index.capacity.stop(attempt.leaving, attempt.pod, sign)
        if attempt.is_funded:
            index.quotas.hold(attempt.pool, attempt.gpu_class, sign * attempt.leaving_gpus)
    if attempt.is_inside:
        index.bookings.take_inside(attempt, sign, index.now)
    else:
        _count_attempt(index, attempt, sign, gpus)
    _touch(index, attempt.pool, attempt.gpu_class)
    gpus += sign * attempt.leaving_gpus
    index.dirty_lines.update(index.concurrency.count(attempt.workload_id, attempt.owner, attempt.team, gpus))
    if not attempt.is_funded:
        index.dirty_lines.update(dict.fromkeys(index.lines.of_owner(attempt.owner)))


def _count_attempt(index: Index, attempt: Attempt, sign: int, gpus: int) -> None:
    """When its GPUs come free, and whose quota it uses: so many more, or fewer."""
    is_stopping = attempt.state is AttemptState.STOPPING
    if is_stopping:
        index.capacity.stop(attempt.placement, attempt.pod, sign)
    elif sign > 0:
        index.ends[attempt.gpu_class].add(attempt, index.capacity.table(attempt.gpu_class))
    else:
        index.ends[attempt.gpu_class].remove(attempt.id)
    if counts_for_quota(attempt):
        index.quotas.use(attempt.pool, attempt.gpu_class, gpus)
        if is_stopping:
            index.ending_gpus[attempt.pool, attempt.gpu_class] += gpus
    elif attempt.is_funded:
        index.quotas.hold(attempt.pool, attempt.gpu_class, gpus)


def _take_balances(index: Index, balances: Mapping[AllowanceId, AllowanceBalance | None]) -> None:
    for allowance_id, balance in balances.items():
        known = index.hours.balances.get(allowance_id)
        if known == balance:
            continue
        for holder in index.hours.set(allowance_id, balance):
            _touch_holder(index, holder)
        if balance is not None and (known is None or known.allowance != balance.allowance):
            for at in (balance.allowance.starts_at, balance.allowance.expires_at):
                if at is not None and at > index.now:
                    index.allowance_times.set(at, balance.allowance.holder)


def _take_launched(index: Index, launched: Mapping[WorkloadId, Workload | None]) -> None:
    for workload_id, workload in launched.items():
        index.running.movable.launched_from(index.launched.get(workload_id), workload)
        put(index.launched, workload_id, workload)
        if workload_id in index.reservations and workload_id not in index.queued:
            _displace(index, workload_id)
            _place(index, workload_id)


def _take_waiting(
    index: Index, queued: Mapping[WorkloadId, Workload | None], reservations: Mapping[WorkloadId, Reservation | None]
) -> None:
    for workload_id in dict.fromkeys([*queued, *reservations]):
        known, reserved = index.queued.get(workload_id), index.reservations.get(workload_id)
        workload, reservation = queued.get(workload_id, known), reservations.get(workload_id, reserved)
        if reservation == reserved:
            if workload == known:
                continue
            if known is not None and is_alike(workload, known) and index.ageing.are_alike(workload, known):
                index.ageing.leave(known)
                index.ageing.wait(workload, is_in_line=index.lines.line_of(workload_id) is not None)
                index.queued[workload_id] = workload
                continue
        if known is not None or reserved is not None:
            _displace(index, workload_id)
        put(index.queued, workload_id, workload)
        put(index.reservations, workload_id, reservation)
        _place(index, workload_id)


def _displace(index: Index, workload_id: WorkloadId) -> None:
    """Take a workload out of its line, or give up what is claimed for it."""
    index.unheard.discard(workload_id)
    index.held_back.discard(workload_id)
    index.dirty_lines.update(index.claims.drop(workload_id))
    line = index.lines.remove(workload_id)
    if line is not None:
        index.moved_lines[line] = None
    if workload_id in index.queued:
        index.ageing.leave(index.queued[workload_id])


def _place(index: Index, workload_id: WorkloadId) -> None:
    """Put a workload where it waits: with its reservation, held back, or in line."""
    workload, reservation = index.queued.get(workload_id), index.reservations.get(workload_id)
    if workload is None:
        moving = index.launched.get(workload_id)
        if moving is not None and reservation is not None and reservation.is_move:
            index.dirty_lines.update(index.claims.make(moving, reservation))
    elif reservation is not None:
        index.dirty_lines.update(index.claims.make(workload, reservation))
        index.unheard.add(workload_id)
    elif is_held_back(workload, index.now):
        index.held_back.add(workload_id)
        if workload.not_before > index.now:
            index.own_times.set(workload.not_before, workload_id)
        index.unheard.add(workload_id)
    else:
        if workload.spec.latest_start is not None:
            index.own_times.set(Instant(workload.spec.latest_start + 1), workload_id)
        line, is_new = index.lines.add(workload, is_aged=index.ageing.is_old(workload))
        if line.stops_others_from(workload.waits_since) > index.now:
            index.own_times.set(line.stops_others_from(workload.waits_since), workload_id)
        (index.dirty_lines if is_new else index.moved_lines)[line] = None
    if workload is not None:
        index.ageing.wait(workload, is_in_line=index.lines.line_of(workload_id) is not None)


def _wake(index: Index) -> None:
    """What time alone changed: allowances that open or expire, begin times and delays, ends of minimum runtimes."""
    for holder in index.allowance_times.pop_due(index.now):
        _touch_holder(index, holder)
    for workload_id in index.own_times.pop_due(index.now):
        if workload_id in index.queued and workload_id not in index.claims.of:
            _displace(index, workload_id)
            _place(index, workload_id)
    index.bookings.wake(index.now)
    for attempt_id in index.protections.pop_due(index.now):
        attempt = index.running.attempts.get(attempt_id)
        if attempt is not None:
            index.running.expose(attempt, index.now)
            index.touched_classes.add(attempt.gpu_class)


def _hear(index: Index) -> None:
    """What the parts of the index say has changed of itself, or by what was taken."""
    for touched in (index.bookings.touched, index.claims.touched):
        for pool, gpu_class in touched:
            _touch(index, pool, gpu_class)
        touched.clear()
    index.touched_classes |= index.capacity.touched  # a node may be of another class than who ran there asked for
    for holder in index.spending.touched:
        _guard(index, index.lines.of_holder(holder))
    index.spending.touched.clear()
    if opened := index.off_peak.renew():
        index.dirty_lines.update((line, None) for line in index.lines.all() if line.spec.priority_class in opened)
    for owner in index.standings.renew():
        index.moved_lines.update(dict.fromkeys(index.lines.of_owner(owner)))


def _age(index: Index) -> None:
    """Queues are re-ordered: what has waited too long by now goes where nothing younger is before it."""
    for workload_id in index.ageing.pop_due(index.now):
        if index.lines.line_of(workload_id) is not None:
            _displace(index, workload_id)
            _place(index, workload_id)


def _guard(index: Index, lines: Iterable[Line]) -> None:
    """Have those judged anew that may start though a guard forbids it now, or are held back and need not be."""
    if index.spending.guards:
        for line in lines:
            if line.within is not None and index.within_guards(line) != line.within:
                index.dirty_lines[line] = None


def _touch(index: Index, pool: PoolName | None, gpu_class: GpuClassName) -> None:
    """Of this class room, or quota of the pool's tree, is another."""
    index.touched_classes.add(gpu_class)
    if pool is not None and pool in index.quotas.root_of:
        index.touched_roots.add((index.quotas.root_of[pool], gpu_class))


def _touch_holder(index: Index, holder: Holder) -> None:
    for party in index.lines.parties_of_holder(holder):
        party.forget_means()
        index.dirty_parties[party] = None
    if holder.kind is HolderKind.ENGINEER:
        index.standings.hours_changed(EngineerId(holder.id))
