"""Work that no reading of utilisation tells of: what a gauge, which knows the moment before it was read and nothing of
the time before that, may have missed.

The energy counter misses nothing: a second of work between two readings is a bump on an otherwise level curve. Where
there is no counter no number of readings proves a rest: a second of work every twenty minutes, in step with the pace, is
never read. What was seen says whether such work is to be expected: uses seen in one reading alone were shorter than the
time between two, so that others of the sort were missed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import NamedTuple

from scheduler.domain.idleness import IdleThresholds
from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, Instant
from scheduler.metering.idle import IdleState, margin
from scheduler.metering.spells import Spell

LEVEL_MS = 30 * MS_PER_MINUTE
"""Idle power drifts with warmth and with what is loaded: a bump is measured against the half hour around it."""

LEVEL_SPANS = 8
"""Fewer make no level of their own. Idle power drifts: at a pace of five minutes more of them would reach too far."""

SHORTEST_MS = 1_000
"""Power over the margin for so long is a use, where noise does not hide it."""

CLEAR_MS, BLURRED_MS = 1_500, 8_000
"""A counter in whose noise power over the margin hides for less than the one is a witness of short work, for more than the
other it is none; between them its bumps decide."""

BUMPS_MIN, CLEAR_SHARE, COARSE_MS = 3, 2, 90 * MS_PER_SECOND
"""Where a quarter of several bumps do not take twice what is the least to be seen, smaller ones were not seen; and of what
is read more rarely than that, a use is cut in two by a reading, and half of it lost."""

NOISE_SIGMAS = 5
LOWER, LOWEST = 4, 20
SIGMAS_BETWEEN_QUANTILES = 0.97
"""Of a normal distribution, between its 25th percentile and its 5th (a quarter and a twentieth of the spans): the lower
side, on which there are no bumps. Noise is the device's, so the median of all its stretches."""

USED = frozenset({IdleState.ACTIVE, IdleState.SUSPECTED_HUNG})

EVIDENT_READINGS = 3
"""What so many in a row found at work lasted for two intervals at least, and none like it fell between two readings."""

READINGS_PER_WINDOW_MIN = 20
"""A gauge that is read more rarely within the rule's window tells nothing of it: nobody is warned or stopped by it."""


class CounterSpan(NamedTuple):
    """What the energy counter rose by from a row to a later one, by their places, as mean power."""

    first: int
    last: int
    length_ms: int
    milliwatts: int


@dataclass(frozen=True, slots=True)
class CounterWitness:
    """What the energy counter tells of the time between readings. `bumps` are spans in which more was drawn than rest and
    its noise account for. `is_believed`: uses that a reading found stand out by it, so that others would have."""

    bumps: tuple[CounterSpan, ...]
    is_believed: bool


def witness(spans: Sequence[CounterSpan], is_quiet: Sequence[bool], thresholds: IdleThresholds) -> CounterWitness:
    """Of spans in order. `is_quiet` by the place of the earlier row: nothing else tells of work between it and the
    next."""
    stretches = [
        (stretch, _quantile(stretch, LOWER), _quantile(stretch, LOWEST)) for stretch in _stretches(spans, is_quiet)
    ]
    if not stretches:
        return CounterWitness((), is_believed=bool(spans))
    length_ms = median(span.length_ms for span in spans)
    sigmas = NOISE_SIGMAS * median(level - low for _, level, low in stretches) / SIGMAS_BETWEEN_QUANTILES
    noise = _Noise(sigmas, length_ms)
    found: list[CounterSpan] = []
    clearness: list[float] = []
    for stretch, level, _ in stretches:
        for span in stretch:
            share = _excess_microjoules(span, level) / _least_microjoules(span, level, noise, thresholds)
            if share > 1:
                found.append(span)
                clearness.append(share)
    usual = median(level for _, level, _ in stretches)
    blur_ms = sigmas * length_ms / margin(int(usual), thresholds)
    is_clear = blur_ms <= BLURRED_MS
    if is_clear and blur_ms > CLEAR_MS and len(clearness) >= BUMPS_MIN:
        is_clear = length_ms <= COARSE_MS and sorted(clearness)[len(clearness) // LOWER] >= CLEAR_SHARE
    used = [span for span in spans if not any(is_quiet[span.first : span.last])]
    seen = sum(_excess_microjoules(span, usual) > _least_microjoules(span, usual, noise, thresholds) for span in used)
    return CounterWitness(tuple(found), is_believed=is_clear and seen * 2 >= len(used))


def _excess_microjoules(span: CounterSpan, level: float) -> float:
    return (span.milliwatts - level) * span.length_ms


class _Noise(NamedTuple):
    """Of the mean power of a span of that length; that of a longer one falls with the root of its length."""

    milliwatts: float
    length_ms: float

    def microjoules(self, length_ms: int) -> float:
        return self.milliwatts * sqrt(self.length_ms * length_ms)


def _least_microjoules(span: CounterSpan, level: float, noise: _Noise, thresholds: IdleThresholds) -> float:
    """What a short piece of work takes, and more than noise does."""
    return max(margin(int(level), thresholds) * SHORTEST_MS, noise.microjoules(span.length_ms))


def is_evident(devices: Iterable[Sequence[Spell]], since: Instant) -> bool:
    """Whether a rest that began then may be acted on, where nothing but gauges tells of these devices: no use of any of
    them was seen by one reading alone, and the use before it, if there was one, was long enough not to be missed.
    `devices` are each one's spells between a reading and the next."""
    uses = [use for spells in devices for use in _uses(spells)]
    before = [use for use in uses if use.end <= since]
    if any(use.readings == 1 for use in uses):
        return False
    return not before or max(before, key=_ended).readings >= EVIDENT_READINGS


class _Use(NamedTuple):
    """Work that readings in a row found, until the last of them; by no reading where it fell into a gap alone."""

    end: Instant
    readings: int


def _ended(use: _Use) -> Instant:
    return use.end


def _uses(spells: Iterable[Spell]) -> Iterator[_Use]:
    use: _Use | None = None
    for spell in spells:
        if spell.state in USED or (spell.state is IdleState.UNKNOWN and spell.has_work):
            use = _Use(spell.end, (use.readings if use is not None else 0) + (spell.state in USED))
        elif use is not None:
            yield use
            use = None
    if use is not None:
        yield use


def is_too_coarse(spells: Sequence[Spell], window_ms: int) -> bool:
    """Whether a gauge is read too rarely to tell anything of a window."""
    return READINGS_PER_WINDOW_MIN * median(spell.end - spell.start for spell in spells) > window_ms


def _quantile(stretch: Sequence[CounterSpan], divisor: int) -> int:
    return sorted(span.milliwatts for span in stretch)[len(stretch) // divisor]


def _stretches(spans: Iterable[CounterSpan], is_quiet: Sequence[bool]) -> Iterator[list[CounterSpan]]:
    """Quiet spans that follow each other, in pieces of about LEVEL_MS; what is too short is taken together."""
    short: list[CounterSpan] = []
    piece: list[CounterSpan] = []
    length_ms = 0
    for span in spans:
        if not all(is_quiet[span.first : span.last]):
            short += piece
            piece, length_ms = [], 0
            continue
        piece.append(span)
        length_ms += span.length_ms
        if length_ms >= LEVEL_MS and len(piece) >= LEVEL_SPANS:
            yield piece
            piece, length_ms = [], 0
    short += piece
    if len(short) >= LEVEL_SPANS:
        yield short
