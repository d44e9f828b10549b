"""Guarded: a longer time limit uses no more of an hour, day or weekend than a spend guard lets a start use."""

from dataclasses import replace

from scheduler.domain.errors import Exhausted, RefusalCode
from scheduler.domain.guards import PastSpend, SpendGuard, used_by, window_at
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_HOUR
from scheduler.domain.workloads import Attempt
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch


def require_within_guards(batch: Batch, attempt: Attempt, extra_ms: int) -> None:
    """Raises Exhausted where what the attempt would use longer is beyond a hard limit of its owner's or its team's."""
    policy = batch.world.require_policy()
    longer = replace(attempt, time_limit_ms=attempt.time_limit_ms + extra_ms)
    for guard in policy.spend_guards:
        period = window_at(guard.window, batch.now, policy.time_zone)
        if guard.hard is None or period is None:
            continue
        more = used_by(longer, period) - used_by(attempt, period)
        used = _used(batch.world, guard, attempt, period)
        if more and used + more > guard.hard:
            of, window = guard.of.value, guard.window.value
            raise Exhausted(
                f"it would use {more / MS_PER_HOUR:.1f} h more of this {window}, of which the guard {guard.name} lets the "
                f"{of} use {guard.hard / MS_PER_HOUR:.1f} h",
                code=RefusalCode.SPEND_GUARD,
                remedy=f"extend it by less, or in the next {window}",
            )


def _used(world: World, guard: SpendGuard, attempt: Attempt, period: Period) -> int:
    """Used so far in the window, and planned by what runs."""
    holder = guard.holder(attempt.owner, attempt.team)
    past = world.past_use.spent.get(holder, PastSpend()).of(guard.window, period)
    live = (each for each in world.attempts.values() if each.is_live and not each.is_booking)
    return past + sum(used_by(each, period) for each in live if guard.holder(each.owner, each.team) == holder)
