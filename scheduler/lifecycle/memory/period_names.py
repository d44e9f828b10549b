"""Names of periods, as the policy in force divides time."""

from scheduler.domain.periods import Period, PeriodLength, period_at, period_named
from scheduler.domain.units import Instant
from scheduler.lifecycle.memory.world import World


def period_of(world: World, name: str | None, now: Instant) -> Period:
    """The period of that name in the policy's time zone; without a name the one that runs.

    Raises what `World.require_policy` and `period_named` raise.
    """
    policy = world.require_policy()
    if name is None:
        return period_at(now, policy.period, policy.time_zone)
    return period_named(name, policy.time_zone)


def period_or_day(world: World, name: str | None, now: Instant) -> Period:
    """The same, but without a name the present day."""
    time_zone = world.require_policy().time_zone
    return period_named(name, time_zone) if name else period_at(now, PeriodLength.DAY, time_zone)
