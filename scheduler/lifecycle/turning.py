"""Turning: what the ends of allowances bring, one after the other in the order of time, however late the service comes to
them. What ran before an end is paid of what was there before it, and what goes on over it pays for what ran after.
"""

from collections.abc import Sequence

from scheduler.domain.observations import ClusterChanges
from scheduler.domain.units import MS_PER_MINUTE, Instant
from scheduler.lifecycle.awarding.expire import expire_due, next_expiry
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.keep import renew_slices
from scheduler.lifecycle.running.observe import hear
from scheduler.lifecycle.writing.batch import changing
from scheduler.ports import Store

UNHEARD_MS = 5 * MS_PER_MINUTE
"""A cluster that was not heard of for so long may have ended, unheard, what the books have as running: until it is heard
nothing is settled."""

TURNS_MAX = 4_000
"""Bound on the ends that one round comes to: the next goes on."""


def turn_due(store: Store, world: World, now: Instant, *, renews: bool) -> int:
    """Have what is left at the end of allowances go on, or expire: what slices that were due by then had needed is not
    left. Returns how many expired."""
    expired = 0
    for _ in range(TURNS_MAX):
        at = next_expiry(world, now)
        if at is None:
            break
        if renews:
            with changing(store, world, now) as batch:
                renew_slices(batch, Instant(at - 1))
        with changing(store, world, now) as batch:
            expired += expire_due(batch, at)
    return expired


def catch_up(store: Store, world: World, told: Sequence[ClusterChanges], now: Instant, *, renews: bool) -> None:
    """Before what the cluster tells is settled, where it was not heard of for long: when what ran has ended is heard first,
    and then what ran before an allowance's end is paid of it."""
    if world.policy is None or _was_heard(world, now) or not _tells_all(world, told):
        return
    with changing(store, world, now) as batch:
        for changes in told:
            hear(batch, changes)
    turn_due(store, world, now, renews=renews)


def note_heard(world: World, told: Sequence[ClusterChanges], now: Instant) -> None:
    """All that the cluster told is on the books."""
    if _tells_all(world, told):
        world.rounds.heard_at = now


def is_heard(world: World, now: Instant) -> bool:
    """Whether the books know what runs: the cluster was heard of just now, or nothing runs that it could tell of."""
    return _was_heard(world, now) or all(attempt.is_booking for attempt in list(world.attempts.values()))


def _tells_all(world: World, told: Sequence[ClusterChanges]) -> bool:
    """Whether it is known of all that runs: since this process started, the cluster has listed everything."""
    return world.rounds.heard_at is not None or any(changes.is_relist for changes in told)


def _was_heard(world: World, now: Instant) -> bool:
    heard_at = world.rounds.heard_at
    return heard_at is not None and now - heard_at < UNHEARD_MS
