"""Spells: a device, or an attempt with all its devices, in one state for a while; and how the former make the latter."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from scheduler.domain.units import Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.idle_clock import merge


@dataclass(frozen=True, slots=True)
class Spell:
    """A device, or an attempt with all its devices, in one state from `start` to `end`."""

    start: Instant
    end: Instant
    state: IdleState


def together(devices: Sequence[Sequence[Spell]]) -> list[Spell]:
    """One state for all devices between any two instants at which one of them changes or is read. A device that
    was not read then is unknown."""
    instants = sorted({instant for spells in devices for spell in spells for instant in (spell.start, spell.end)})
    places = [0] * len(devices)
    found: list[Spell] = []
    for start, end in pairwise(instants):
        states: list[IdleState] = []
        for device, spells in enumerate(devices):
            while places[device] < len(spells) and spells[places[device]].end <= start:
                places[device] += 1
            is_read = places[device] < len(spells) and spells[places[device]].start <= start
            states.append(spells[places[device]].state if is_read else IdleState.UNKNOWN)
        found.append(Spell(start, end, merge(states)))
    return found


def joined(spells: Iterable[Spell]) -> tuple[Spell, ...]:
    """Neighbours of one state as one spell."""
    found: list[Spell] = []
    for spell in spells:
        if found and found[-1].state is spell.state and found[-1].end == spell.start:
            found[-1] = replace(found[-1], end=spell.end)
        else:
            found.append(spell)
    return tuple(found)
