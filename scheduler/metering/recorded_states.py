"""The states of a recorded device: between each of its readings and the next, by what both of them and the whole recording
say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat
from typing import Protocol

from scheduler.domain.idleness import IdleRule, IdleThresholds
from scheduler.metering.counter_witness import CounterSpan, CounterWitness, witness
from scheduler.metering.idle import IdleState, judged
from scheduler.metering.paces import Pace, one_pace, paces_of
from scheduler.metering.recorded import (
    Recorded,
    baseline_of,
    counter_spans,
    full_milliwatts_of,
    observations,
    unlearned_rest_of,
)
from scheduler.metering.spells import Spell

COUNTED_PERMILLE = 900
"""Of what was read; where the energy counter tells of less, utilisation is a gauge alone."""


class Covered(Protocol):
    """A stretch of time, and how much of it was read."""

    @property
    def covered_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DeviceStates:
    """One spell between each row and the next. `unlearned_milliwatts` is what it drew without use, where that is above what
    may be learned as idle power. `is_on_a_gauge`: no energy counter tells of the time between the rows;
    `use_millijoules` is the least use that one does tell of."""

    spells: list[Spell]
    idle_milliwatts: int | None
    unlearned_milliwatts: int | None
    gap_ms: int
    is_on_a_gauge: bool
    use_millijoules: int | None


def device_states(rows: Sequence[Recorded], rule: IdleRule, gap_ms: int | None) -> DeviceStates:
    """Of rows in order; `gap_ms` None: by their own pace, which may change where the energy counter tells of what is
    between them; on a gauge alone what was seen at one pace says nothing of another."""
    window_ms = rule.policy.window_ms
    paces = paces_of(rows, window_ms)
    if gap_ms is not None:
        paces = [pace._replace(gap_ms=gap_ms) for pace in paces]
    found = _states(rows, rule, paces)
    if len(paces) == 1 or not found.is_on_a_gauge:
        return found
    whole = one_pace(rows, window_ms)
    found = _states(rows, rule, whole if gap_ms is None else [whole[0]._replace(gap_ms=gap_ms)])
    # The noise of all paces together is that of none.
    return replace(found, is_on_a_gauge=True, use_millijoules=None)


def _states(rows: Sequence[Recorded], rule: IdleRule, paces: Sequence[Pace]) -> DeviceStates:
    spans = list(counter_spans(rows))
    gaps_ms = list(chain.from_iterable(repeat(pace.gap_ms, pace.steps) for pace in paces))
    seen = observations(bridged(rows, gaps_ms, rule.thresholds), spans, gaps_ms)
    baseline = baseline_of(seen, rule.thresholds, full_milliwatts_of(rows))
    told_of = [judged(each, baseline, rule.thresholds) for each in seen]
    states = [state for state, _ in told_of]
    # What the counter rose by before it began anew is lost, be it that a gauge was read meanwhile.
    has_work = [works or each.is_restarted for (_, works), each in zip(told_of, seen, strict=True)]
    count_what_has_just_ended(has_work, [row.percent for row in rows], rule.thresholds)
    count_comings_and_goings(has_work, (row.process_count for row in rows))
    told = _witness(spans, has_work, states, rule.thresholds, paces)
    count_bumps(told, states, has_work)
    spells = [
        Spell(each.start, each.end, state, works, each.cpu_millicores)
        for each, state, works in zip(seen, states, has_work, strict=True)
    ]
    unlearned = unlearned_rest_of(seen, rule.thresholds) if baseline.milliwatts is None else None
    gauged = is_on_a_gauge(seen, spans, told)
    use = None if gauged else told.use_millijoules
    return DeviceStates(spells, baseline.milliwatts, unlearned, max(pace.gap_ms for pace in paces), gauged, use)


def bridged(rows: Sequence[Recorded], gaps_ms: Sequence[int], thresholds: IdleThresholds) -> Sequence[Recorded]:
    """Rows that lack utilisation, between two that tell of none, are as rows that are missing: no gap where those two are
    near enough to each other."""
    if all(row.percent is not None for row in rows):
        return rows
    found = list(rows)
    for place, row in enumerate(islice(rows, 1, max(1, len(rows) - 1)), start=1):
        before, after = rows[place - 1], rows[place + 1]
        if row.percent is not None or before.percent is None or after.percent is None:
            continue
        if max(before.percent, after.percent) <= thresholds.percent and after.at - before.at <= gaps_ms[place]:
            found[place] = row._replace(percent=after.percent)
    return found


def _witness(
    spans: Sequence[CounterSpan],
    has_work: Iterable[bool],
    states: Sequence[IdleState],
    thresholds: IdleThresholds,
    paces: Sequence[Pace],
) -> CounterWitness:
    """Its noise is that of a pace; it is believed where it is at each at which anything was read."""
    is_quiet, is_active = [not each for each in has_work], found_at_work(states)
    told: list[CounterWitness] = []
    bumps: list[CounterSpan] = []
    at = 0
    for pace in paces:
        end = next((place for place in range(at, len(spans)) if spans[place].first >= pace.last), len(spans))
        found = witness(spans[at:end], is_quiet, is_active, thresholds, is_part=len(paces) > 1)
        bumps += found.bumps
        told += [found] if pace.is_read else []
        at = end
    uses = [each.use_millijoules for each in told if each.use_millijoules is not None]
    return CounterWitness(
        tuple(bumps), bool(told) and all(each.is_believed for each in told), max(uses, default=None)
    )


def count_bumps(told: CounterWitness, states: list[IdleState], has_work: list[bool]) -> None:
    """What the energy counter tells of is work, whatever a gauge says."""
    for bump in told.bumps:
        for place in range(bump.first, bump.last):
            has_work[place] = True
            states[place] = IdleState.ACTIVE if states[place] is IdleState.IDLE_HELD else states[place]


def count_what_has_just_ended(
    has_work: list[bool], percents: Sequence[int | None], thresholds: IdleThresholds
) -> None:
    """Work that a reading found went on for an unknown while after it: rest begins with the next one that finds none.
    `percents` are what was read where each place begins."""
    worked = True  # nothing is known of the time before the first row
    found = False
    for place, works in enumerate(has_work):
        percent = percents[place]
        found = found if percent is None else percent > thresholds.percent
        has_work[place] = works or (found and worked)
        worked = works


def count_comings_and_goings(has_work: list[bool], counts: Iterable[int | None]) -> None:
    """Somebody was there where processes came or went between two readings, be it that no reading saw one at work. One
    that stays tells nothing: an idle notebook has it, too. `counts` are what was read where the first place begins, and
    where each of them ends."""
    known: int | None = None
    for place, count in enumerate(counts, start=-1):
        if count is None:
            continue
        if known is not None and count != known:
            has_work[place] = True
        known = count


def found_at_work(states: Sequence[IdleState]) -> list[bool]:
    """Where a reading found work of which power has to tell. A hang draws what rest does, and where it begins and ends it
    looks like work."""
    hung = IdleState.SUSPECTED_HUNG
    return [
        state is IdleState.ACTIVE and hung not in states[max(0, place - 1) : place + 2]
        for place, state in enumerate(states)
    ]


def is_on_a_gauge(seen: Iterable[Covered], spans: Sequence[CounterSpan], told: CounterWitness) -> bool:
    """Whether no energy counter, or none that is clear, tells of what was read."""
    read_ms = sum(each.covered_ms for each in seen)
    return not told.is_believed or sum(span.length_ms for span in spans) * 1_000 < read_ms * COUNTED_PERMILLE
