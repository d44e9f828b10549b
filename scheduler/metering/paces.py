"""Paces: how often a device was read. It may change within its recording, as when an exporter is set to another interval.

What is a gap at one pace is the usual step of another, and so is what the energy counter's noise hides in a step.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from scheduler.metering.hidden_work import READINGS_PER_WINDOW_MIN
from scheduler.metering.recorded import GAP_INTERVALS, Recorded, usual_gap_ms

AROUND = 10
"""Steps before and after one whose median is the pace there: fewer slow ones than that are gaps, however long they are."""

APART = 2
"""Paces that differ by no more than so many times are one."""


class Pace(NamedTuple):
    """From the row at `first` to that at `last` a pause over `gap_ms` was not read. `is_read`: its own steps were."""

    first: int
    last: int
    gap_ms: int
    is_read: bool = True

    @property
    def steps(self) -> int:
        return self.last - self.first


def one_pace(rows: Sequence[Recorded], window_ms: int) -> list[Pace]:
    return [Pace(0, max(0, len(rows) - 1), usual_gap_ms(rows, window_ms))]


def paces_of(rows: Sequence[Recorded], window_ms: int) -> list[Pace]:
    """Of rows in order, without a hole. What is slower than usual has a gap of its own where a gauge of that pace would
    still tell of a window, and is unread where it would not."""
    whole = one_pace(rows, window_ms)
    steps = [after.at - before.at for before, after in pairwise(rows)]
    usual = median(steps) if steps else 0
    if sum(step > APART * usual or step * APART < usual for step in steps) <= AROUND:
        return whole
    found: list[Pace] = []
    first, pace = 0, 0.0
    for place in range(len(steps)):
        here = median(steps[max(0, place - AROUND) : place + AROUND + 1])
        if place - first > AROUND and max(here, pace) > APART * min(here, pace):
            found.append(_pace(first, place, pace, whole[0].gap_ms, window_ms))
            first = place
        if place - first <= AROUND:
            pace = here  # on the way from one pace to the next it is neither
    return [*found, _pace(first, len(steps), pace, whole[0].gap_ms, window_ms)]


def _pace(first: int, last: int, step_ms: float, usual_gap: int, window_ms: int) -> Pace:
    gap_ms = int(step_ms * GAP_INTERVALS)
    if gap_ms <= usual_gap or READINGS_PER_WINDOW_MIN * step_ms > window_ms:
        return Pace(first, last, usual_gap, is_read=step_ms <= usual_gap)
    return Pace(first, last, gap_ms)
