"""A rest looked at again, before anybody is warned or stopped by it, where utilisation is a gauge that is read every so
often: by the windows that were kept, and by the same rule by which a recording is judged.

A window is judged as it comes, and then nobody can tell a second of work in it from noise; half an hour later the
windows around it do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scheduler.domain.idleness import IdleRule, IdleThresholds
from scheduler.domain.units import MS_PER_HOUR, GpuUuid, Instant
from scheduler.metering.counter_witness import CounterSpan, witness
from scheduler.metering.hidden_work import READINGS_PER_WINDOW_MIN, is_evident
from scheduler.metering.idle import IdleState
from scheduler.metering.idle_clock import IdleClock, IdleWatch, tick
from scheduler.metering.recorded import REST_MS
from scheduler.metering.recorded_states import (
    count_bumps,
    count_comings_and_goings,
    count_what_has_just_ended,
    found_at_work,
    is_on_a_gauge,
)
from scheduler.metering.spells import Spell, together
from scheduler.metering.use import Stretch

HISTORY_MS = 12 * MS_PER_HOUR
"""Habits are looked for so far back before the rest began."""


@dataclass(frozen=True, slots=True)
class SecondLook:
    """`watch`: as it was where the rest is believed, and else as of the last hidden work, with nobody warned.
    `is_believed`: the rest is, and whoever is to be told of it is told. `is_proven`: it may be acted on, too."""

    watch: IdleWatch
    is_believed: bool
    is_proven: bool


def look_again(
    kept: Mapping[GpuUuid, Sequence[Stretch]], watch: IdleWatch, rule: IdleRule, gauge_ms: int
) -> SecondLook:
    """`kept` are each device's windows in order, up to HISTORY_MS before the rest of `watch`; `gauge_ms` is how often the
    gauge is read."""
    since, until = watch.clock.since, watch.judged_until
    assert since is not None, "only a rest is looked at again"
    devices: list[list[Spell]] = []
    gauged: list[list[Spell]] = []
    for stretches in kept.values():
        spells, is_gauged = kept_states(stretches, rule.thresholds)
        devices.append(spells)
        if is_gauged:
            gauged.append(spells)
    fresh = IdleClock(watch.clock.launched_at, keep_alives=watch.clock.keep_alives)
    if gauged and READINGS_PER_WINDOW_MIN * gauge_ms > rule.policy.window_ms:
        return SecondLook(replace(watch, clock=fresh), is_believed=False, is_proven=False)
    rest = [spell for spell in together(devices) if since < spell.end <= until]
    worked_until = max((spell.end for spell in rest if spell.has_work), default=None)
    if worked_until is None:
        return SecondLook(watch, is_believed=True, is_proven=not gauged or is_evident(gauged, since))
    clock = fresh
    for spell in rest:
        if spell.start >= worked_until:
            clock, _ = tick(clock, spell, rule.policy)
    # What it would have been warned of was not said: it is warned anew, and the action waits for that.
    clock = replace(clock, warned_at=(), is_due=False, is_wait_told=watch.clock.is_wait_told)
    return SecondLook(replace(watch, clock=clock), is_believed=False, is_proven=False)


def kept_states(stretches: Sequence[Stretch], thresholds: IdleThresholds) -> tuple[list[Spell], bool]:
    """One spell a window, and whether the device was read by a gauge alone."""
    if not stretches:
        return [], True
    percents = [stretch.use.percent_max for stretch in stretches]
    states = [stretch.state for stretch in stretches]
    has_work = [
        state in {IdleState.ACTIVE, IdleState.SUSPECTED_HUNG}
        or (state is IdleState.UNKNOWN and percent is not None and percent > thresholds.percent)
        for state, percent in zip(states, percents, strict=True)
    ]
    count_what_has_just_ended(has_work, [None, *percents[:-1]], thresholds)
    count_comings_and_goings(has_work, [None, *(stretch.process_count for stretch in stretches)])
    spans = list(_counter_spans(stretches))
    told = witness(spans, [not each for each in has_work], found_at_work(states), thresholds)
    count_bumps(told, states, has_work)
    spells = [
        Spell(Instant(each.start), each.end, state, works, each.use.cpu_millicores_max)
        for each, state, works in zip(stretches, states, has_work, strict=True)
    ]
    return spells, is_on_a_gauge((stretch.use for stretch in stretches), spans, told)


def _counter_spans(stretches: Sequence[Stretch]) -> Iterator[CounterSpan]:
    """A counter that stood still was not read anew: the next rise is of all that time."""
    first = length_ms = 0
    for place, stretch in enumerate(stretches):
        use = stretch.use
        if use.energy_ms == 0:
            first, length_ms = place + 1, 0
            continue
        length_ms += use.energy_ms
        if use.millijoules == 0:
            continue
        if first == place or length_ms <= REST_MS:
            yield CounterSpan(first, place + 1, length_ms, use.millijoules * 1_000 // length_ms)
        first, length_ms = place + 1, 0
