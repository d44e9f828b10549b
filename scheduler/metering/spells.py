"""Spells: a device, or an attempt with all its devices, in one state for a while; and how the former make the latter."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from scheduler.domain.units import GpuUuid, Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.windows import largest


class Spell(NamedTuple):
    """A device, or an attempt with all its devices, in one state from `start` to `end`. `has_work`: something in it
    tells of work, though too little may have been read to call it active. `cpu_millicores` is what the attempt's pods
    used of a node's CPUs meanwhile, of several nodes the most. `gauge_ms`: utilisation was a gauge, read so often."""

    start: Instant
    end: Instant
    state: IdleState
    has_work: bool = False
    cpu_millicores: int | None = None
    gauge_ms: int | None = None


def merge(states: Collection[IdleState]) -> IdleState:
    """An attempt's state by those of its devices: active if any is, unknown if any is unread, and at rest only if
    all are. One that may hang among others at rest makes the attempt suspected."""
    for state in (IdleState.ACTIVE, IdleState.UNKNOWN, IdleState.SUSPECTED_HUNG):
        if state in states:
            return state
    return IdleState.IDLE_HELD if states else IdleState.UNKNOWN


def together(devices: Sequence[Sequence[Spell]]) -> list[Spell]:
    """One state for all devices between any two instants at which one of them changes or is read. A device that
    was not read then is unknown."""
    if len(devices) == 1 and all(before.end == after.start for before, after in pairwise(devices[0])):
        return list(devices[0])
    instants = sorted({instant for spells in devices for spell in spells for instant in (spell.start, spell.end)})
    places = [0] * len(devices)
    found: list[Spell] = []
    for start, end in pairwise(instants):
        states: set[IdleState] = set()
        has_work = False
        cpu: list[int | None] = []
        for device, spells in enumerate(devices):
            while places[device] < len(spells) and spells[places[device]].end <= start:
                places[device] += 1
            spell = spells[places[device]] if places[device] < len(spells) else None
            if spell is None or spell.start > start:
                states.add(IdleState.UNKNOWN)
            else:
                states.add(spell.state)
                has_work = has_work or spell.has_work
                cpu.append(spell.cpu_millicores)
        found.append(Spell(start, end, merge(states), has_work, largest(cpu)))
    return found


def while_any_is_held(
    held: Mapping[GpuUuid, Sequence[Spell]], beside: Mapping[GpuUuid, Sequence[Spell]]
) -> list[list[Spell]]:
    """Each device's spells for as long as any of them was held: before its own and after them those `beside`, which are
    empty where nothing was read."""
    start, end = min(spells[0].start for spells in held.values()), max(spells[-1].end for spells in held.values())
    return [
        [
            *_within(beside.get(uuid, ()), start, spells[0].start),
            *spells,
            *_within(beside.get(uuid, ()), spells[-1].end, end),
        ]
        for uuid, spells in held.items()
    ]


def _within(spells: Sequence[Spell], start: Instant, end: Instant) -> list[Spell]:
    return [
        spell._replace(start=max(spell.start, start), end=min(spell.end, end))
        for spell in spells
        if spell.start < end and spell.end > start
    ]


def joined(spells: Iterable[Spell]) -> tuple[Spell, ...]:
    """Neighbours of one state as one spell."""
    found: list[Spell] = []
    first: Spell | None = None
    end, has_work = Instant(0), False
    for spell in spells:
        if first is not None and spell.state is first.state and spell.start == end:
            end, has_work = spell.end, has_work or spell.has_work
            continue
        if first is not None:
            found.append(first._replace(end=end, has_work=has_work))
        first, end, has_work = spell, spell.end, spell.has_work
    if first is not None:
        found.append(first._replace(end=end, has_work=has_work))
    return tuple(found)
