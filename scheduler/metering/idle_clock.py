"""The idle clock of an attempt: how long all of its devices have rested, whom to warn when, and when to act.

Only rest moves the clock. Activity of any device, a served request, or the owner's keep-alive sets it back to zero;
what could not be read stops it, and so do busy CPUs where the policy waits for them; an action needs that nearly all of
the window before it was read. Pure: time comes with the observations, and every decision can be made again from them.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.domain.idleness import IdlePolicy
from scheduler.domain.units import AttemptId, Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.spells import Spell


class IdleEventKind(StrEnum):
    WARNED = "warned"
    DUE = "due"
    """The action is due; nothing more comes of this spell of rest."""
    WAITING = "waiting"
    """A warning would be due, but its CPUs are busy."""
    RESUMED = "resumed"
    """Work was seen after a warning: what was said holds no longer."""


@dataclass(frozen=True, slots=True)
class IdleEvent:
    """`rested_ms` is what the clock showed, `since` when the spell began. `number` counts the warnings from 1."""

    kind: IdleEventKind
    at: Instant
    since: Instant
    rested_ms: int
    number: int = 0
    cpu_millicores: int | None = None


@dataclass(frozen=True, slots=True)
class IdleClock:
    """One spell of rest as it grows. `stretches` are its latest read parts, as far back as the window reaches."""

    launched_at: Instant
    since: Instant | None = None
    rested_ms: int = 0
    stretches: tuple[tuple[Instant, Instant], ...] = ()
    warned_at: tuple[Instant, ...] = ()
    is_due: bool = False
    keep_alives: int = 0
    waited_ms: int = 0
    """For how long of this spell its CPUs were busy: no rest, and no work of its GPUs."""
    is_wait_told: bool = False


@dataclass(frozen=True, slots=True)
class IdleWatch:
    """The clock of an attempt, with its readings judged up to then."""

    attempt_id: AttemptId
    judged_until: Instant
    clock: IdleClock


def tick(
    clock: IdleClock, spell: Spell, policy: IdlePolicy, told_at: Instant | None = None
) -> tuple[IdleClock, tuple[IdleEvent, ...]]:
    """The attempt was in this state over this spell, which begins where the last one ended, or later.

    `told_at` is when its owner hears of what comes of it, None for at once: of what was read long ago, as after an outage,
    nobody was warned then. The warnings, and the action after them, are so far apart as the policy says for who hears them.
    """
    if spell.has_work or spell.state in {IdleState.ACTIVE, IdleState.SUSPECTED_HUNG}:
        return touch(clock, spell.end)
    start = max(spell.start, Instant(clock.launched_at + policy.startup_ms))
    if spell.state is IdleState.UNKNOWN or start >= spell.end:
        return clock, ()
    if _is_preparing(spell, policy) and clock.waited_ms < policy.cpu_wait_ms_max:
        return _wait(clock, spell._replace(start=start), policy)
    return _rest(clock, (start, spell.end), policy, told_at)


def touch(clock: IdleClock, at: Instant) -> tuple[IdleClock, tuple[IdleEvent, ...]]:
    """Something was done with the attempt: work, a served request. The clock is at zero again."""
    fresh = IdleClock(clock.launched_at, keep_alives=clock.keep_alives)
    if clock.since is None or not (clock.warned_at or clock.is_wait_told):
        return fresh, ()
    return fresh, (IdleEvent(IdleEventKind.RESUMED, at, clock.since, clock.rested_ms),)


def keep_alive(clock: IdleClock, at: Instant, policy: IdlePolicy) -> tuple[IdleClock, bool]:
    """The owner says that the attempt is wanted. False where nothing changes: they have said so too often, or it does not
    rest, so that it costs them none of their times."""
    if clock.since is None or clock.keep_alives >= policy.keep_alives_max:
        return clock, False
    fresh, _ = touch(clock, at)
    return replace(fresh, keep_alives=clock.keep_alives + 1), True


def _is_preparing(spell: Spell, policy: IdlePolicy) -> bool:
    if policy.cpu_busy_millicores is None or spell.cpu_millicores is None:
        return False
    return spell.cpu_millicores >= policy.cpu_busy_millicores


def _wait(clock: IdleClock, spell: Spell, policy: IdlePolicy) -> tuple[IdleClock, tuple[IdleEvent, ...]]:
    """The clock stands; that it does is told once a spell, when it would have come to the first warning."""
    since = spell.start if clock.since is None else clock.since
    waited = replace(clock, since=since, waited_ms=clock.waited_ms + spell.end - spell.start)
    if waited.is_wait_told or clock.rested_ms + waited.waited_ms < policy.warn_at_ms[0]:
        return waited, ()
    told = IdleEvent(IdleEventKind.WAITING, spell.end, since, clock.rested_ms, cpu_millicores=spell.cpu_millicores)
    return replace(waited, is_wait_told=True), (told,)


def _rest(
    clock: IdleClock, span: tuple[Instant, Instant], policy: IdlePolicy, told_at: Instant | None
) -> tuple[IdleClock, tuple[IdleEvent, ...]]:
    start, end = span
    heard_at = end if told_at is None else max(end, told_at)
    since = start if clock.since is None else clock.since
    oldest = end - policy.window_ms
    kept = tuple(stretch for stretch in clock.stretches if stretch[1] > oldest)
    joined = (*kept[:-1], (kept[-1][0], end)) if kept and kept[-1][1] == start else (*kept, (start, end))
    # Spelled out, field by field: a reading of a recording takes one of these, and `replace` four times as long.
    grown = IdleClock(
        launched_at=clock.launched_at,
        since=since,
        rested_ms=clock.rested_ms + end - start,
        stretches=joined,
        warned_at=clock.warned_at,
        is_due=clock.is_due,
        keep_alives=clock.keep_alives,
        waited_ms=clock.waited_ms,
        is_wait_told=clock.is_wait_told,
    )
    said = len(grown.warned_at)
    if said < len(policy.warn_at_ms) and grown.rested_ms >= policy.warn_at_ms[said]:
        if told_at is not None and said and heard_at - grown.warned_at[-1] < _between(said, policy):
            return grown, ()
        warning = IdleEvent(IdleEventKind.WARNED, heard_at, since, grown.rested_ms, number=said + 1)
        return replace(grown, warned_at=(*grown.warned_at, heard_at)), (warning,)
    if _is_due(grown, end, heard_at, policy):
        return replace(grown, is_due=True), (IdleEvent(IdleEventKind.DUE, end, since, grown.rested_ms),)
    return grown, ()


def _between(said: int, policy: IdlePolicy) -> int:
    """Milliseconds from the latest of so many warnings to the next."""
    return policy.warn_at_ms[said] - policy.warn_at_ms[said - 1]


def _is_due(clock: IdleClock, at: Instant, heard_at: Instant, policy: IdlePolicy) -> bool:
    """A whole window of rest, of which enough was read just now, and after all warnings with time to answer."""
    if clock.is_due or clock.rested_ms < policy.window_ms or len(clock.warned_at) < len(policy.warn_at_ms):
        return False
    oldest = at - policy.window_ms
    read_ms = sum(end - max(start, oldest) for start, end in clock.stretches)
    has_lead = heard_at - clock.warned_at[-1] >= policy.lead_ms
    return has_lead and read_ms * 1_000 >= policy.window_ms * policy.coverage_permille
