"""Work that no reading of utilisation tells of: what a gauge, which knows the moment before it was read and nothing of
the time before that, may have missed.

The energy counter misses nothing (`counter_witness`). Where there is none that is clear, no number of readings proves a
rest: a second of work every twenty minutes, in step with the pace, is never read. What was seen says whether such work is
to be expected: uses seen in one reading alone were shorter than the time between two, so that others of the sort were
missed.
"""

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from scheduler.domain.units import Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.spells import Spell

USED = frozenset({IdleState.ACTIVE, IdleState.SUSPECTED_HUNG})

EVIDENT_READINGS = 3
"""What so many in a row found at work lasted for two intervals at least, and none like it fell between two readings."""

READINGS_PER_WINDOW_MIN = 20
"""A gauge that is read more rarely within the rule's window tells nothing of it: nobody is warned or stopped by it."""


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
