"""What the energy counter tells of the time between two readings, and whether it can be believed to tell of all of it.

The counter misses nothing: a second of work between two readings is a bump on an otherwise level curve. What it can be
read for is bounded by its noise: idle power that wanders, and stamps that are not the instants of reading. A use is what
takes the energy of a second at the policy's margin over idle power; a counter in whose noise such a use could hide is no
witness of rest.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import NamedTuple

from scheduler.domain.idleness import IdleThresholds
from scheduler.domain.units import MS_PER_MINUTE
from scheduler.metering.idle import margin

LEVEL_MS = 30 * MS_PER_MINUTE
"""Idle power drifts with warmth and with what is loaded: work of minutes is measured against the half hour around it."""

LEVEL_SPANS = 8
"""Fewer make no level of their own. Idle power drifts: at a pace of five minutes more of them would reach too far."""

NEIGHBOURS = 5
"""Work of seconds is measured against so many spans on either side, over which idle power hardly drifts."""

USE_MS = 1_000
"""The least use: power at the margin for so long, or as much energy in any other time."""

NOISE_SIGMAS, NEIGHBOUR_SIGMAS = 5, 4
"""Of noise, which is no bump: against the half hour, and against the neighbours."""

FOUND_PERMILLE, FOUND_OF_TWO_PERMILLE = 500, 600
"""Of the least use: what is found in one span, since a reading may cut a use in two, and what in two that meet."""

CLEAR_SIGMAS = 6
"""A counter is clear where the least use is so many times its noise: beyond what noise is taken for, it then takes a
fluctuation of several times the noise in the other direction to hide one."""

BLURRED_USES, USES_MIN = 8, 5
LARGE, SMALL_SHARE = 2, 3
"""One in which the least use may hide, but not eight of them, is a witness where five uses or more were found that take
twice what may hide, and at most a third as many that take less: where hardly any is small, hardly any is hidden."""

ALIKE_SHARE = 4
"""Of the uses that were read next to a rest fewer than this part stand out of it: the rest may be what they are."""

LEVEL_SIGMAS = 10
"""Over the root of its spans: by so much of noise the levels of two rests differ where nothing else does. A quantile is
1.4 off as a rule, and of many the highest and the lowest are five such apart."""

LOWER, LOWEST = 4, 20
SIGMAS_BETWEEN_QUANTILES = 0.97
"""Of a normal distribution, between its 25th percentile and its 5th (a quarter and a twentieth of the spans): the lower
side, on which there are no bumps. Noise is the device's, so the median of all its stretches."""


class CounterSpan(NamedTuple):
    """What the energy counter rose by from a row to a later one, by their places, as mean power."""

    first: int
    last: int
    length_ms: int
    milliwatts: int


@dataclass(frozen=True, slots=True)
class CounterWitness:
    """What the energy counter tells of the time between readings. `bumps` are spans in which more was drawn than rest and
    its noise account for, or less than rest does. `is_believed`: no use hides in its noise, or none of the size of those
    that were found, and those that a reading found stand out by it. `use_millijoules` is what a use has to take to be found
    for certain; None where nothing says what rest draws."""

    bumps: tuple[CounterSpan, ...]
    is_believed: bool
    use_millijoules: int | None = None


def witness(
    spans: Sequence[CounterSpan],
    is_quiet: Sequence[bool],
    is_active: Sequence[bool],
    thresholds: IdleThresholds,
    *,
    is_part: bool = False,
) -> CounterWitness:
    """Of spans in order. `is_part`: a rest may go on before or after them, so that those are bumps of which too few follow
    each other to tell. By the place of the earlier row, `is_quiet`: nothing else tells of work between it and the next;
    `is_active`: a reading found work there. A hang is none, nor is what a gap may hide."""
    stretches = [_Stretch(stretch) for stretch in _stretches(spans, is_quiet)]
    untold: set[CounterSpan] = set()
    if is_part:
        untold = {span for span in spans if all(is_quiet[span.first : span.last])}
        untold.difference_update(span for stretch in stretches for span in stretch.spans)
    if not stretches:
        return CounterWitness(tuple(sorted(untold)), is_believed=bool(spans))
    rest = _Rest.of(stretches, median(span.length_ms for span in spans))
    used = [span for span in spans if not any(is_quiet[span.first : span.last]) and _is_found(span, is_active)]
    found = {*_bumps(rest, used, thresholds), *_short_of_rest(spans, rest, thresholds), *untold}
    found.update(span for span in spans if _is_partly_quiet(span, is_quiet))
    quiet = [span for span in spans if all(is_quiet[span.first : span.last])]
    for ordered in (quiet, quiet[::-1]):
        found.update(list(_ends_of_bumps(ordered, found, thresholds, rest.noise)))
    usual = median(stretch.level for stretch in stretches)
    least = use_microjoules(usual, thresholds)
    seen = sum(_stands_out(span, usual, least, rest.drifting) for span in used)
    is_clear = _is_clear(_uses(spans, found, is_quiet, usual), least, rest.hidden)
    use = max(least, CLEAR_SIGMAS * rest.hidden)
    return CounterWitness(tuple(sorted(found)), is_clear and seen * 2 >= len(used), int(use // 1_000))


def _bumps(rest: "_Rest", used: Sequence[CounterSpan], thresholds: IdleThresholds) -> Iterator[CounterSpan]:
    """Work that no reading found: single spans that stand out of their rest, and whole rests that are work themselves."""
    for stretch in rest.stretches:
        least = use_microjoules(stretch.level, thresholds)
        yield from _long_bumps(stretch, least, rest.drifting)
        yield from _short_bumps(stretch, least, rest.noise)
        unlike = max(least, LEVEL_SIGMAS * rest.drifting.microjoules(int(rest.length_ms)) / sqrt(len(stretch.spans)))
        if (stretch.level - rest.lowest) * rest.length_ms > unlike and _is_alike(stretch, used, least, rest.drifting):
            yield from stretch.spans


def _is_clear(uses: Iterable[float], least: int, hidden: float) -> bool:
    """Whether no use could hide in so much noise, or hardly any, by those that were found (all in microjoules)."""
    if CLEAR_SIGMAS * hidden <= least:
        return True
    if NEIGHBOUR_SIGMAS * hidden > BLURRED_USES * least:
        return False
    found = list(uses)
    large = sum(use >= LARGE * CLEAR_SIGMAS * hidden for use in found)
    small = sum(use > CLEAR_SIGMAS * hidden for use in found) - large
    return large >= USES_MIN and small * SMALL_SHARE <= large


def use_microjoules(level_milliwatts: float, thresholds: IdleThresholds) -> int:
    """What the least use takes of a device that draws so much at rest."""
    return margin(int(level_milliwatts), thresholds) * USE_MS


def _uses(
    spans: Iterable[CounterSpan], bumps: Collection[CounterSpan], is_quiet: Sequence[bool], level: float
) -> Iterator[float]:
    """What each use took, be it found by a reading or by the counter, in microjoules."""
    taken: float | None = None
    last = 0
    for span in spans:
        if span not in bumps and all(is_quiet[span.first : span.last]):
            continue
        if taken is not None and last != span.first:
            yield taken
            taken = None
        taken = (taken or 0) + _excess(span, level)
        last = span.last
    if taken is not None:
        yield taken


class _Stretch:
    """Quiet spans that follow each other: their level, and by how much each is above its neighbours."""

    def __init__(self, spans: Sequence[CounterSpan]) -> None:
        self.spans = spans
        watts = [span.milliwatts for span in spans]
        self.level = _quantile(watts, LOWER)
        self.excesses = [
            each - median([*watts[max(0, place - NEIGHBOURS) : place], *watts[place + 1 : place + 1 + NEIGHBOURS]])
            for place, each in enumerate(watts)
        ]


class _Noise(NamedTuple):
    """Of the mean power of a span of that length; that of a longer one falls with the root of its length."""

    milliwatts: float
    length_ms: float

    def microjoules(self, length_ms: int) -> float:
        return self.milliwatts * sqrt(self.length_ms * length_ms)


@dataclass(frozen=True, slots=True)
class _Rest:
    """The rests of a device: how much it draws in them, and how much of that is noise.

    `length_ms` is that of its usual span. `drifting` is the noise of power against the half hour, `noise` that against
    the neighbours.
    """

    stretches: Sequence[_Stretch]
    length_ms: float
    lowest: float
    """Milliwatts of the rest that draws least."""
    drifting: _Noise
    noise: _Noise

    @classmethod
    def of(cls, stretches: Sequence[_Stretch], length_ms: float) -> "_Rest":
        drifting = median(_sigma([span.milliwatts for span in each.spans]) for each in stretches)
        noise = median(_sigma(each.excesses) for each in stretches)
        lowest = min(each.level for each in stretches)
        return cls(stretches, length_ms, lowest, _Noise(drifting, length_ms), _Noise(noise, length_ms))

    @property
    def hidden(self) -> float:
        """Microjoules of noise in a usual span."""
        return self.noise.microjoules(int(self.length_ms))


def _long_bumps(stretch: _Stretch, least: int, noise: _Noise) -> Iterator[CounterSpan]:
    """Against the half hour: work that goes on for minutes."""
    for span in stretch.spans:
        if _stands_out(span, stretch.level, least, noise):
            yield span


def _short_bumps(stretch: _Stretch, least: int, noise: _Noise) -> Iterator[CounterSpan]:
    """Against the neighbours: work of seconds, be it that a reading cut it in two."""
    before: CounterSpan | None = None
    excess_before = 0.0
    for span, milliwatts in zip(stretch.spans, stretch.excesses, strict=True):
        excess = milliwatts * span.length_ms
        if excess * 1_000 > max(least * FOUND_PERMILLE, NEIGHBOUR_SIGMAS * 1_000 * noise.microjoules(span.length_ms)):
            yield span
        elif before is not None and before.last == span.first:
            both_ms = before.length_ms + span.length_ms
            limit = max(least * FOUND_OF_TWO_PERMILLE, NEIGHBOUR_SIGMAS * 1_000 * noise.microjoules(both_ms))
            if (excess_before + excess) * 1_000 > limit:
                yield before
                yield span
        before, excess_before = span, excess


def _ends_of_bumps(
    quiet: Sequence[CounterSpan], bumps: AbstractSet[CounterSpan], thresholds: IdleThresholds, noise: _Noise
) -> Iterator[CounterSpan]:
    """Spans after bumps that hold the end of that work: half of their neighbours are work themselves, and tell of no rest.
    What follows them does. Of spans in order; backwards, those that hold a beginning."""
    is_after_bump = False
    for place, span in enumerate(quiet):
        if span in bumps:
            is_after_bump = True
        elif is_after_bump:
            rest = quiet[place + 1 : place + 1 + NEIGHBOURS]
            level = median(each.milliwatts for each in rest) if rest else span.milliwatts
            limit = max(use_microjoules(level, thresholds), NEIGHBOUR_SIGMAS * noise.microjoules(span.length_ms))
            is_after_bump = bumps.isdisjoint(rest) and _excess(span, level) > limit
            if is_after_bump:
                yield span


def _is_alike(stretch: _Stretch, used: Sequence[CounterSpan], least: int, noise: _Noise) -> bool:
    """Whether the uses that readings found just before and after it take no more than it does itself, which is more than
    the device's least: a training that starves for its data is alike in every minute, and read in few of them."""
    before = bisect_left(used, stretch.spans[0].first, key=_first)
    after = bisect_left(used, stretch.spans[-1].last, key=_first)
    near = [*used[max(0, before - NEIGHBOURS) : before], *used[after : after + NEIGHBOURS]]
    seen = sum(_stands_out(span, stretch.level, least, noise) for span in near)
    return bool(near) and seen * ALIKE_SHARE < len(near)


def _is_partly_quiet(span: CounterSpan, is_quiet: Sequence[bool]) -> bool:
    """Over rows that lack the counter, of which some tell of work: what it rose by may be of the others, too."""
    return any(is_quiet[span.first : span.last]) and not all(is_quiet[span.first : span.last])


def _is_found(span: CounterSpan, is_active: Sequence[bool]) -> bool:
    """Work that a reading found may have ended in the next span."""
    return any(is_active[max(0, span.first - 1) : span.last])


def _first(span: CounterSpan) -> int:
    return span.first


def _short_of_rest(spans: Iterable[CounterSpan], rest: _Rest, thresholds: IdleThresholds) -> Iterator[CounterSpan]:
    """What took less than rest ever does was shorter than its stamps say, as where the clock was set: a use may hide."""
    for span in spans:
        least = use_microjoules(rest.lowest, thresholds)
        if -_excess(span, rest.lowest) > max(least, NOISE_SIGMAS * rest.drifting.microjoules(span.length_ms)):
            yield span


def _stands_out(span: CounterSpan, level: float, least: int, noise: _Noise) -> bool:
    """Whether it took more than rest at that level by a use, and by more than noise does."""
    return _excess(span, level) > max(least, NOISE_SIGMAS * noise.microjoules(span.length_ms))


def _excess(span: CounterSpan, level: float) -> float:
    """In microjoules."""
    return (span.milliwatts - level) * span.length_ms


def _sigma(values: Sequence[float]) -> float:
    return (_quantile(values, LOWER) - _quantile(values, LOWEST)) / SIGMAS_BETWEEN_QUANTILES


def _quantile(values: Sequence[float], divisor: int) -> float:
    return sorted(values)[len(values) // divisor]


def _stretches(spans: Iterable[CounterSpan], is_quiet: Sequence[bool]) -> Iterator[list[CounterSpan]]:
    """Quiet spans that follow each other, in pieces of LEVEL_MS, the last of a run with what is left of it; runs that are
    too short are taken together."""
    short: list[CounterSpan] = []
    piece: list[CounterSpan] = []
    full: list[CounterSpan] | None = None
    length_ms = 0
    for span in spans:
        if not all(is_quiet[span.first : span.last]):
            if full is not None:
                yield full + piece
            else:
                short += piece
            piece, full, length_ms = [], None, 0
            continue
        piece.append(span)
        length_ms += span.length_ms
        if length_ms >= LEVEL_MS and len(piece) >= LEVEL_SPANS:
            if full is not None:
                yield full
            piece, full, length_ms = [], piece, 0
    if full is not None:
        yield full + piece
    else:
        short += piece
    if len(short) >= LEVEL_SPANS:
        yield short
