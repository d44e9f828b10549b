"""Guarded: a longer time limit uses no more of an hour, day or weekend than a spend guard lets a start use."""

from collections.abc import Iterator
from dataclasses import replace

from scheduler.decision.limits.spending import rate_reserved
from scheduler.decision.placing.ends import latest_end, latest_end_if_started
from scheduler.domain.allowances import Holder
from scheduler.domain.errors import Exhausted, RefusalCode
from scheduler.domain.guards import PastSpend, SpendGuard, used_by, used_in, windows_from
from scheduler.domain.periods import Period, iso
from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.domain.workloads import Attempt
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch


def require_within_guards(batch: Batch, attempt: Attempt, extra_ms: int) -> None:
    """Raises Exhausted where what the attempt would use longer is beyond a hard limit of its owner's or its team's."""
    policy = batch.world.require_policy()
    longer = replace(attempt, time_limit_ms=attempt.time_limit_ms + extra_ms)
    from_when_it_would_end = max(batch.now, latest_end(attempt))
    for guard in policy.spend_guards:
        if guard.hard is None:
            continue
        for period in windows_from(guard.window, from_when_it_would_end, policy.time_zone):
            more = used_by(longer, period) - used_by(attempt, period)
            if more and _used(batch.world, guard, attempt, period, batch.now) + more > guard.hard:
                raise _beyond(guard, guard.hard, more, period, batch.now)


def _beyond(guard: SpendGuard, hard: int, more: int, period: Period, now: Instant) -> Exhausted:
    of, window = guard.of.value, guard.window.value
    which = f"this {window}" if period.contains(now) else f"the {window} from {iso(period.starts_at)}"
    return Exhausted(
        f"it would use {more / MS_PER_HOUR:.1f} h more of {which}, of which the guard {guard.name} lets the "
        f"{of} use {hard / MS_PER_HOUR:.1f} h",
        code=RefusalCode.SPEND_GUARD,
        remedy="extend it by less, or when other work has ended",
    )


def _used(world: World, guard: SpendGuard, attempt: Attempt, period: Period, now: Instant) -> int:
    """Used so far in the window, and planned by what runs, and by what starts when its victims have ended."""
    holder = guard.holder(attempt.owner, attempt.team)
    past = world.past_use.spent.get(holder, PastSpend()).of(guard.window, period)
    live = (each for each in world.attempts.values() if each.is_live and not each.is_booking)
    running = sum(used_by(each, period) for each in live if guard.holder(each.owner, each.team) == holder)
    return past + running + sum(_planned(world, guard, holder, period, now))


def _planned(world: World, guard: SpendGuard, holder: Holder, period: Period, now: Instant) -> Iterator[int]:
    policy = world.require_policy()
    for reservation in list(world.reservations.values()):
        waiting = world.workloads.get(reservation.workload_id)
        if waiting is None or reservation.is_move or guard.holder(waiting.owner, waiting.team) != holder:
            continue
        until = latest_end_if_started(waiting.spec, now)
        yield used_in(period, rate_reserved(policy, waiting, reservation), now, until)
