"""The states of a recorded device: between each of its readings and the next, by what both of them and the whole recording
say."""

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.domain.idleness import IdleRule, IdleThresholds
from scheduler.metering.hidden_work import CounterSpan, bumps
from scheduler.metering.idle import IdleState, Observation, classify, shows_work
from scheduler.metering.recorded import Recorded, baseline_of, counter_spans, observations, usual_gap_ms
from scheduler.metering.spells import Spell

COUNTED_PERMILLE = 900
"""Of what was read; where the energy counter tells of less, utilisation is a gauge alone."""


@dataclass(frozen=True, slots=True)
class DeviceStates:
    """One spell between each row and the next. `is_on_a_gauge`: no energy counter tells of the time between them."""

    spells: list[Spell]
    idle_milliwatts: int | None
    gap_ms: int
    is_on_a_gauge: bool


def device_states(rows: Sequence[Recorded], rule: IdleRule, gap_ms: int | None) -> DeviceStates:
    """Of rows in order; `gap_ms` None: by their own pace."""
    gap_ms = usual_gap_ms(rows, rule.policy.window_ms) if gap_ms is None else gap_ms
    seen = observations(rows, gap_ms)
    baseline = baseline_of(seen, rule.thresholds)
    states = [classify(each, baseline, rule.thresholds) for each in seen]
    has_work = [shows_work(each, baseline, rule.thresholds) for each in seen]
    spans = list(counter_spans(rows))
    _count_what_has_just_ended(has_work, rows, rule.thresholds)
    _count_comings_and_goings(has_work, rows)
    for bump in bumps(spans, [not each for each in has_work], rule.thresholds):
        for place in range(bump.first, bump.last):
            has_work[place] = True
            states[place] = IdleState.ACTIVE if states[place] is IdleState.IDLE_HELD else states[place]
    spells = [
        Spell(each.start, each.end, state, works, each.cpu_millicores)
        for each, state, works in zip(seen, states, has_work, strict=True)
    ]
    return DeviceStates(spells, baseline.milliwatts, gap_ms, _is_on_a_gauge(seen, spans))


def _count_what_has_just_ended(has_work: list[bool], rows: Sequence[Recorded], thresholds: IdleThresholds) -> None:
    """Work that a reading found went on for an unknown while after it: rest begins with the next one that finds none."""
    worked = True  # nothing is known of the time before the first row
    found = False
    for place, works in enumerate(has_work):
        percent = rows[place].percent
        found = found if percent is None else percent > thresholds.percent
        has_work[place] = works or (found and worked)
        worked = works


def _count_comings_and_goings(has_work: list[bool], rows: Sequence[Recorded]) -> None:
    """Somebody was there where processes came or went between two readings, be it that no reading saw one at work. One
    that stays tells nothing: an idle notebook has it, too."""
    known: int | None = None
    for place, row in enumerate(rows):
        if row.process_count is None:
            continue
        if known is not None and row.process_count != known:
            has_work[place - 1] = True
        known = row.process_count


def _is_on_a_gauge(seen: Sequence[Observation], spans: Sequence[CounterSpan]) -> bool:
    read_ms = sum(each.covered_ms for each in seen)
    return sum(span.length_ms for span in spans) * 1_000 < read_ms * COUNTED_PERMILLE
