"""A device's recording as observations: its rows put in order, what rows of one instant say together, and what lies
between each row and the next.

Nothing is guessed into rest. Of what contradicts itself the busier counts; power is the energy counter's where it can
be, since a counter sees work between two readings and a gauge does not.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice, pairwise
from statistics import median
from typing import NamedTuple

from scheduler.domain.idleness import IdleThresholds
from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, AttemptId, GpuUuid, Instant
from scheduler.metering.counter_witness import CounterSpan
from scheduler.metering.idle import Baseline, Observation, drawn, may_be_rest
from scheduler.metering.windows import largest

GAP_INTERVALS = 5 / 2
"""A pause of more than so many of a device's usual intervals is a gap, as the agent has it."""

SHARERS_MAX = 8
"""Of a device in time, each with rows of its own: their paces are so many times the device's."""

REST_MS = 5 * MS_PER_MINUTE
"""Idle power is the least mean over so long a rest, so that neither noise nor one wrong reading makes it."""

ANY_MILLIWATTS = 1_000_000_000
"""More than any device draws."""

INSTANT_MILLIJOULES = 200_000
"""More than any device at rest draws in the second that a stamp may stand for. Where rows of one instant differ by more,
the clock was set back: of that time there are two readings, and only one of them can be judged."""

MIG_PREFIX = "MIG-"
LARGE_BYTES = 32 * 2**30
LARGE_MILLIWATTS = 250_000
"""No GPU for data centres with so much memory has a lower limit of power. Small ones work at what large ones idle at, and
a MIG instance may have a seventh of it."""


class Recorded(NamedTuple):
    """One row of a recording; what its cell did not hold is None. A tuple, because there may be millions.

    `attempts` has more than one where rows of one instant name several: a device that is shared in time.
    """

    at: Instant
    gpu_uuid: GpuUuid
    attempts: tuple[AttemptId, ...] = ()
    percent: int | None = None
    milliwatts: int | None = None
    energy_millijoules: int | None = None
    process_count: int | None = None
    cpu_millicores: int | None = None
    memory_bytes: int | None = None
    """All that the device has, used or not."""
    energy_apart_millijoules: int | None = None
    """By how much rows of this instant differ."""


def in_order(rows: Iterable[Recorded]) -> list[Recorded]:
    """One row an instant, in the order of time. An attempt that is not named between two rows that name the same one
    is that one: an attempt has its devices from its launch to its end. Attempts whose rows alternate share the device."""
    ordered = sorted(rows, key=_instant)
    if any(before.at == after.at for before, after in pairwise(ordered)):
        ordered = [_one(list(same)) for _, same in groupby(ordered, key=_instant)]
    last: tuple[AttemptId, ...] = ()
    blanks = 0
    for place, row in enumerate(ordered):
        if not row.attempts:
            blanks += 1
            continue
        if blanks and row.attempts == last:
            for blank in range(place - blanks, place):
                ordered[blank] = ordered[blank]._replace(attempts=last)
        last, blanks = row.attempts, 0
    _share(ordered)
    return ordered


def _share(ordered: list[Recorded]) -> None:
    """Whoever is named again as soon as usual had the device in between, though the rows there name others."""
    places: dict[AttemptId, list[int]] = {}
    for place, row in enumerate(ordered):
        for attempt_id in row.attempts:
            places.setdefault(attempt_id, []).append(place)
    if len(places) < 2:
        return
    pace_ms = median(after.at - before.at for before, after in pairwise(ordered))
    for attempt_id, named in places.items():
        steps = [ordered[after].at - ordered[before].at for before, after in pairwise(named)]
        limit_ms = GAP_INTERVALS * min(median(steps or [0]), pace_ms * SHARERS_MAX)
        for (before, after), step_ms in zip(pairwise(named), steps, strict=True):
            for place in range(before + 1, after) if step_ms <= limit_ms else ():
                row = ordered[place]
                ordered[place] = row._replace(attempts=tuple(sorted({*row.attempts, attempt_id})))


def usual_gap_ms(rows: Sequence[Recorded], window_ms: int) -> int:
    """From which pause on this device is unread, by its recording's own pace; half of the policy's window at most,
    since what is read less than twice in a window says nothing about it."""
    steps = [after.at - before.at for before, after in pairwise(rows)]
    if not steps:
        return MS_PER_SECOND
    return min(max(MS_PER_SECOND, int(median(steps) * GAP_INTERVALS)), window_ms // 2)


def counter_spans(rows: Sequence[Recorded]) -> Iterator[CounterSpan]:
    """What the energy counter says, of rows in order: between neighbours, or over rows that lack it or repeat it."""
    first, since, known = -1, 0, -1
    for last, row in enumerate(rows):
        energy = row.energy_millijoules
        # A counter that stands still was not read anew: exporters repeat what they had; the next rise is of all that time.
        if energy is None or energy == known:
            continue
        length_ms = row.at - since
        # One that goes back was set anew.
        if energy > known >= 0 and (last == first + 1 or length_ms <= REST_MS):
            milliwatts = (energy - known) * 1_000 // length_ms
            if milliwatts > 0:
                yield CounterSpan(first, last, length_ms, milliwatts)
        first, since, known = last, row.at, energy


def observations(rows: Sequence[Recorded], spans: Iterable[CounterSpan], gaps_ms: Iterable[int]) -> list[Observation]:
    """What lies between each row and the next, of rows in order; `spans` are what their energy counter tells, `gaps_ms`
    from which length each of these steps is a gap.
    Utilisation is the later row's: it tells of the time before it."""
    watts = _milliwatts(rows, spans)
    seen: list[Observation] = []
    for before, after, milliwatts, gap_ms in zip(rows, islice(rows, 1, None), watts, gaps_ms, strict=False):
        start, end, percent = before.at, after.at, after.percent
        covered_ms = end - start if end - start <= gap_ms else 0
        mean = percent if percent is None or before.percent is None else (before.percent + percent) // 2
        is_restarted = _is_restarted(before, after)
        # By place: by name it takes twice as long, and there are as many as there are rows.
        seen.append(
            Observation(
                start,
                end,
                covered_ms,
                percent,
                mean,
                milliwatts,
                after.process_count,
                after.cpu_millicores,
                is_restarted,
            )
        )
    return seen


def full_milliwatts_of(rows: Iterable[Recorded]) -> int | None:
    """The least that a device of its size draws at full load; None for those of which nothing can be presumed."""
    memory_bytes: int | None = None
    for row in rows:
        if row.gpu_uuid.startswith(MIG_PREFIX):
            return None
        if row.memory_bytes is not None and row.memory_bytes > (memory_bytes or 0):
            memory_bytes = row.memory_bytes
    return LARGE_MILLIWATTS if memory_bytes is None or memory_bytes >= LARGE_BYTES else None


def baseline_of(
    seen: Sequence[Observation], thresholds: IdleThresholds, presumed_full_milliwatts: int | None = None
) -> Baseline:
    """What the whole recording knows of the device's idle power: the least mean of any unbroken rest of five minutes,
    or, where there was none so long, of any observation at rest. What it draws at full utilisation is as seen, and no
    less than what is presumed."""
    least = _least_of_long_rests(seen, thresholds)
    if least is None:
        rests = (each.milliwatts for each in seen if may_be_rest(each, thresholds) and each.milliwatts is not None)
        least = min(rests, default=None)
    seen_full = (each.milliwatts for each in seen if (each.percent_max or 0) >= thresholds.hung_percent)
    full = largest((*seen_full, presumed_full_milliwatts))
    return Baseline(least, any(each.milliwatts is not None for each in seen), full)


def unlearned_rest_of(seen: Sequence[Observation], thresholds: IdleThresholds) -> int | None:
    """Of a device without a baseline: the least mean power of five minutes without use, in milliwatts, however much it is.
    Either that was silent work, or the device idles there and is never idle by these thresholds."""
    return _least_of_long_rests(seen, replace(thresholds, baseline_milliwatts_max=ANY_MILLIWATTS))


def _instant(row: Recorded) -> Instant:
    return row.at


def _one(same: list[Recorded]) -> Recorded:
    """Rows of one instant as one. Where they differ the larger counts: nothing is at rest by one word against another."""
    if len(same) == 1:
        return same[0]
    energies = [row.energy_millijoules for row in same if row.energy_millijoules is not None]
    return Recorded(
        at=same[0].at,
        gpu_uuid=same[0].gpu_uuid,
        attempts=tuple(sorted({attempt for row in same for attempt in row.attempts})),
        percent=largest(row.percent for row in same),
        milliwatts=largest(row.milliwatts for row in same),
        energy_millijoules=largest(row.energy_millijoules for row in same),
        process_count=largest(row.process_count for row in same),
        cpu_millicores=largest(row.cpu_millicores for row in same),
        memory_bytes=largest(row.memory_bytes for row in same),
        energy_apart_millijoules=(max(energies) - min(energies) or None) if energies else None,
    )


def _milliwatts(rows: Sequence[Recorded], spans: Iterable[CounterSpan]) -> list[int | None]:
    """Mean power between each row and the next: the counter's, over rows in between that lack it or repeat it, and else
    the gauge's. Between neighbours the counter tells of a gap as well."""
    watts = [drawn(after.milliwatts) for after in rows[1:]]
    for span in spans:
        watts[span.first : span.last] = [span.milliwatts] * (span.last - span.first)
    return watts


def _is_restarted(before: Recorded, after: Recorded) -> bool:
    """Of the energy counter, or of the clock."""
    if any((row.energy_apart_millijoules or 0) > INSTANT_MILLIJOULES for row in (before, after)):
        return True
    energy, later = before.energy_millijoules, after.energy_millijoules
    return energy is not None and later is not None and later < energy


def _least_of_long_rests(seen: Sequence[Observation], thresholds: IdleThresholds) -> int | None:
    """The least mean power over any REST_MS of rest without a break, by a window that slides over the observations."""
    least: int | None = None
    first, length_ms, microjoules = 0, 0, 0
    for place, each in enumerate(seen):
        if not may_be_rest(each, thresholds) or each.milliwatts is None:
            first, length_ms, microjoules = place + 1, 0, 0
            continue
        length_ms += each.length_ms
        microjoules += each.milliwatts * each.length_ms
        while length_ms - seen[first].length_ms >= REST_MS:
            oldest = seen[first]
            length_ms -= oldest.length_ms
            microjoules -= (oldest.milliwatts or 0) * oldest.length_ms
            first += 1
        if length_ms >= REST_MS:
            mean = microjoules // length_ms
            least = mean if least is None else min(least, mean)
    return least
