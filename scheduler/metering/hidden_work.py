"""Work that no reading of utilisation tells of: what a gauge, which knows the moment before it was read and nothing of
the time before that, may have missed.

The energy counter misses nothing: a second of work between two readings is a bump on an otherwise level curve. Where
there is no counter, what was seen says how much was not: uses seen in one reading alone were shorter than the time
between two, so that others of the sort were missed; rest is then believed once it is far longer than they lie apart.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from scheduler.domain.idleness import IdleThresholds
from scheduler.domain.units import MS_PER_MINUTE
from scheduler.metering.idle import UNREAD_MS, IdleState, margin
from scheduler.metering.spells import Spell

LEVEL_MS = 30 * MS_PER_MINUTE
"""Idle power drifts with warmth and with what is loaded: a bump is measured against the half hour around it."""

LEVEL_SPANS = 16
"""Fewer make no level of their own."""

NOISE_SIGMAS = 6
LOWER, LOWEST = 4, 20
SIGMAS_BETWEEN_QUANTILES = 0.97
"""Of a normal distribution, between its 25th percentile and its 5th (a quarter and a twentieth of the spans): the lower
side, on which there are no bumps. Noise is the device's, so the median of all its stretches."""

PAUSES = 30
"""Were uses still coming at random as before, a rest of ten of their median pauses would come once in a thousand. But a
service's requests come several times more rarely by night, and a person's runs after lunch: three times as much."""

USES_MIN = 3
"""Fewer uses make no habit."""

SEEN_ONCE_SHARE = 10
"""One use in so many, at least, was seen once: of uses up to ten times as long as the pace a tenth is, and a twentieth
is missed, which a training's pauses for data bear, and a sandbox's for thought do not."""


class CounterSpan(NamedTuple):
    """What the energy counter rose by from a row to a later one, by their places, as mean power."""

    first: int
    last: int
    length_ms: int
    milliwatts: int


def bumps(spans: Iterable[CounterSpan], is_quiet: Sequence[bool], thresholds: IdleThresholds) -> list[CounterSpan]:
    """Those of the spans, in order, in which more was drawn than rest and its noise account for. `is_quiet` by the place
    of the earlier row: nothing else tells of work between it and the next."""
    stretches = [
        (stretch, _quantile(stretch, LOWER), _quantile(stretch, LOWEST)) for stretch in _stretches(spans, is_quiet)
    ]
    if not stretches:
        return []
    noise = NOISE_SIGMAS * median(level - low for _, level, low in stretches) / SIGMAS_BETWEEN_QUANTILES
    return [
        span
        for stretch, level, _ in stretches
        for span in stretch
        if (span.milliwatts - level) * span.length_ms
        > max(margin(level, thresholds) * UNREAD_MS, noise * span.length_ms)
    ]


def window_on_a_gauge(spells: Sequence[Spell]) -> int:
    """For how long a device must rest, in milliseconds, before that is believed of what only a gauge has read: 0 where
    its uses are long enough to be seen. `spells` are those between each reading and the next."""
    starts: list[int] = []
    seen_once = length = 0
    for before, spell in pairwise(spells):
        is_used = spell.state is IdleState.ACTIVE
        if is_used:
            length = length + 1 if before.state is IdleState.ACTIVE else 1
            if length == 1:
                starts.append(spell.start)
        elif length == 1 and before.state is IdleState.ACTIVE:
            seen_once += 1
    if seen_once < USES_MIN or seen_once * SEEN_ONCE_SHARE < len(starts):
        return 0
    return PAUSES * int(median(after - before for before, after in pairwise(starts)))


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
