"""The idle rules over a recording: which states there were, who would have been warned and stopped when, and how many
GPU-hours would have come back. For tuning a policy on one's own history before it acts on anybody.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter

from scheduler.domain.idleness import IdleAction, IdleRule
from scheduler.domain.units import AttemptId, GpuMs, GpuUuid, Instant
from scheduler.metering.hidden_work import is_evident, is_too_coarse
from scheduler.metering.idle import IdleState
from scheduler.metering.idle_clock import IdleClock, IdleEvent, IdleEventKind, tick
from scheduler.metering.packed import PackedRows, by_device
from scheduler.metering.recorded import Recorded, in_order
from scheduler.metering.recorded_states import DeviceStates, device_states
from scheduler.metering.spells import Spell, joined, together, while_any_is_held


@dataclass(frozen=True, slots=True)
class DeviceJudgement:
    """What a device did. `idle_milliwatts` is what was taken for its idle power, None where it was never seen at rest;
    `unlearned_milliwatts` the least that it drew without use, where that is more than the rule learns as idle power;
    a pause over `gap_ms` between two readings was unknown. `is_on_a_gauge`: nothing tells of the time between them; else
    the energy counter does, down to a use of `use_millijoules` (None where nothing says what rest draws)."""

    gpu_uuid: GpuUuid
    spells: tuple[Spell, ...]
    idle_milliwatts: int | None
    unlearned_milliwatts: int | None
    gap_ms: int
    is_on_a_gauge: bool
    use_millijoules: int | None


@dataclass(frozen=True, slots=True)
class AttemptJudgement:
    """What the rule would have done to an attempt, with all of its devices. `attempt_id` is None where the recording
    names no attempts at all: then each device is judged as if one attempt had it throughout.

    `rested_gpu_ms` is what lay between each instant at which the action was due and the next work that was seen, or the
    end of the attempt's recording; `freed_gpu_ms` that of it which acting would have freed. What was not read in between
    is not counted.
    """

    attempt_id: AttemptId | None
    gpu_uuids: tuple[GpuUuid, ...]
    spells: tuple[Spell, ...]
    events: tuple[IdleEvent, ...]
    rested_gpu_ms: GpuMs
    freed_gpu_ms: GpuMs
    cpu_waited_ms: int
    """For how long the clock waited for busy CPUs, of all spells of rest."""
    unproven_since: frozenset[Instant]
    """Rests that began then were read by a gauge alone, which cannot tell whether they were rest: their owner would have
    been told, and nothing done."""
    is_too_coarse: bool
    """A gauge alone, read too rarely to tell: nobody is warned or stopped by it."""
    is_stopped: bool
    """Whether the rule's action ends work at all: a report does not."""
    launches: "tuple[AttemptJudgement, ...]" = ()
    """Where its name was used again, each launch with its own devices; else nothing."""

    def with_device(self, uuid: GpuUuid) -> "tuple[AttemptJudgement, ...]":
        """Its launches that had the device."""
        return tuple(launch for launch in self.launches or (self,) if uuid in launch.gpu_uuids)

    @property
    def warned(self) -> tuple[IdleEvent, ...]:
        return tuple(event for event in self.events if event.kind is IdleEventKind.WARNED)

    @property
    def due(self) -> tuple[IdleEvent, ...]:
        return tuple(event for event in self.events if event.kind is IdleEventKind.DUE)

    @property
    def stopped(self) -> tuple[IdleEvent, ...]:
        return tuple(event for event in self.due if self.is_stopped and event.since not in self.unproven_since)

    @property
    def unproven(self) -> tuple[IdleEvent, ...]:
        return tuple(event for event in self.due if event.since in self.unproven_since)

    @property
    def returned_gpu_ms(self) -> GpuMs:
        return self.freed_gpu_ms if self.is_stopped else GpuMs(0)


@dataclass(frozen=True, slots=True)
class Judged:
    """Devices in the order of their UUIDs, attempts in that of their names. `names_attempts`: any row does."""

    devices: tuple[DeviceJudgement, ...]
    attempts: tuple[AttemptJudgement, ...]
    names_attempts: bool


def judge(rows: Iterable[Recorded], rule: IdleRule, gap_ms: int | None = None) -> Judged:
    """Rows may come in any order and more than once. `gap_ms` None: by each device's own pace."""
    return judge_devices(by_device(rows), rule, gap_ms)


def judge_devices(packed: dict[GpuUuid, PackedRows], rule: IdleRule, gap_ms: int | None = None) -> Judged:
    """As `judge`, of rows that are sorted by device already. Takes them out of `packed` as it goes."""
    devices_of: dict[AttemptId, set[GpuUuid]] = {}
    for uuid, device in packed.items():
        for attempt_id in device.attempts:
            devices_of.setdefault(attempt_id, set()).add(uuid)
    devices: list[DeviceJudgement] = []
    has_several = {attempt_id for attempt_id, uuids in devices_of.items() if len(uuids) > 1}
    of_attempts: dict[AttemptId, dict[GpuUuid, list[Spell]]] = {}
    beside: dict[GpuUuid, tuple[Spell, ...]] = {}
    on_a_gauge: set[GpuUuid] = set()
    attempts: list[AttemptJudgement] = []
    # An attempt's devices one after the other: what is known of those that wait for the others is much.
    in_turn = [uuid for attempt_id in sorted(devices_of) for uuid in sorted(devices_of[attempt_id])]
    for uuid in dict.fromkeys([*in_turn, *sorted(packed)]):
        device = packed.pop(uuid)
        ordered = in_order(device)
        states = device_states(ordered, rule, gap_ms)
        devices.append(_device(uuid, states))
        if states.is_on_a_gauge:
            on_a_gauge.add(uuid)
        if not devices_of and states.spells:
            attempts.append(_judge_attempt(None, {uuid: states.spells}, {}, on_a_gauge, rule))
        if not has_several.isdisjoint(device.attempts):
            beside[uuid] = _beside(_holders(ordered), states.spells)
        for attempt_ids, held in groupby(zip(_holders(ordered), states.spells, strict=True), key=itemgetter(0)):
            of_each = [of_attempts.setdefault(attempt_id, {}).setdefault(uuid, []) for attempt_id in attempt_ids]
            spells = [spell for _, spell in held]
            for each in of_each:
                each.extend(spells)
        for attempt_id in device.attempts:
            devices_of[attempt_id].discard(uuid)
            if not devices_of[attempt_id] and attempt_id in of_attempts:
                # Its spells go with it: those of all attempts at once would be as many as there are rows.
                attempts.append(_judge_attempt(attempt_id, of_attempts.pop(attempt_id), beside, on_a_gauge, rule))
    devices.sort(key=lambda each: each.gpu_uuid)
    attempts.sort(key=lambda each: (each.attempt_id or "", each.gpu_uuids))
    return Judged(tuple(devices), tuple(attempts), names_attempts=bool(devices_of))


def _device(uuid: GpuUuid, states: DeviceStates) -> DeviceJudgement:
    return DeviceJudgement(
        gpu_uuid=uuid,
        spells=joined(states.spells),
        idle_milliwatts=states.idle_milliwatts,
        unlearned_milliwatts=states.unlearned_milliwatts,
        gap_ms=states.gap_ms,
        is_on_a_gauge=states.is_on_a_gauge,
        use_millijoules=states.use_millijoules,
    )


def _holders(rows: Sequence[Recorded]) -> Iterator[tuple[AttemptId, ...]]:
    """Of what lies between each row and the next: the attempts that both of them name."""
    for before, after in pairwise(rows):
        if before.attempts == after.attempts:
            yield before.attempts
        else:
            yield tuple(attempt for attempt in before.attempts if attempt in after.attempts)


def _beside(holders: Iterable[tuple[AttemptId, ...]], spells: Iterable[Spell]) -> tuple[Spell, ...]:
    """A device to an attempt that is not named on it any more, or not yet: where it is another's it is nothing to it, as
    one at rest; where it is nobody's it may be its own still, so that its work counts."""
    steps = (
        Spell(spell.start, spell.end, IdleState.IDLE_HELD) if named else spell
        for named, spell in zip(holders, spells, strict=True)
    )
    alike = (list(each) for _, each in groupby(steps, key=_but_for_its_time))
    return tuple(each[0]._replace(end=each[-1].end) for each in alike)


_but_for_its_time = itemgetter(slice(Spell._fields.index("state"), None))


def _judge_attempt(
    attempt_id: AttemptId | None,
    spells: dict[GpuUuid, list[Spell]],
    beside: Mapping[GpuUuid, Sequence[Spell]],
    on_a_gauge: Collection[GpuUuid],
    rule: IdleRule,
) -> AttemptJudgement:
    """Where its name was used again, on other devices after it had left the first, each launch is judged alone."""
    launches = [_judge_launch(attempt_id, each, beside, on_a_gauge, rule) for each in _launches(spells)]
    if len(launches) == 1:
        return launches[0]
    told: list[Spell] = []
    for launch in launches:
        if told and told[-1].end < launch.spells[0].start:
            told.append(Spell(told[-1].end, launch.spells[0].start, IdleState.UNKNOWN))
        told += launch.spells
    return AttemptJudgement(
        attempt_id=attempt_id,
        gpu_uuids=tuple(sorted(spells)),
        spells=joined(told),
        events=tuple(event for launch in launches for event in launch.events),
        rested_gpu_ms=GpuMs(sum(launch.rested_gpu_ms for launch in launches)),
        freed_gpu_ms=GpuMs(sum(launch.freed_gpu_ms for launch in launches)),
        cpu_waited_ms=sum(launch.cpu_waited_ms for launch in launches),
        unproven_since=frozenset().union(*(launch.unproven_since for launch in launches)),
        is_too_coarse=any(launch.is_too_coarse for launch in launches),
        is_stopped=launches[0].is_stopped,
        launches=tuple(launches),
    )


def _launches(spells: dict[GpuUuid, list[Spell]]) -> list[dict[GpuUuid, list[Spell]]]:
    """Devices that were held at once, in the order of time. Those of one launch are held together, so that what began
    after all before it had ended is another: a pod of a StatefulSet keeps its name, and not its GPU."""
    found: list[dict[GpuUuid, list[Spell]]] = []
    end = Instant(0)
    for uuid in sorted(spells, key=lambda each: (spells[each][0].start, each)):
        if not found or spells[uuid][0].start >= end:
            found.append({})
        found[-1][uuid] = spells[uuid]
        end = max(end, spells[uuid][-1].end)
    return found


def _judge_launch(
    attempt_id: AttemptId | None,
    spells: dict[GpuUuid, list[Spell]],
    beside: Mapping[GpuUuid, Sequence[Spell]],
    on_a_gauge: Collection[GpuUuid],
    rule: IdleRule,
) -> AttemptJudgement:
    spells_together = together(while_any_is_held(spells, beside))
    held = [(each[0].start, each[-1].end) for each in spells.values()]
    gauged = [each for uuid, each in spells.items() if uuid in on_a_gauge]
    too_coarse = any(is_too_coarse(each, rule.policy.window_ms) for each in gauged)
    clock = IdleClock(launched_at=spells_together[0].start)
    events: list[IdleEvent] = []
    unproven: set[Instant] = set()
    rested_ms = freed_ms = cpu_waited_ms = 0
    for spell in () if too_coarse else spells_together:
        if clock.is_due and spell.state is IdleState.IDLE_HELD:
            spell_ms = sum(max(0, min(spell.end, end) - max(spell.start, start)) for start, end in held)
            rested_ms += spell_ms
            freed_ms += 0 if clock.since in unproven else spell_ms
        before = clock.waited_ms
        clock, new = tick(clock, spell, rule.policy)
        cpu_waited_ms += max(0, clock.waited_ms - before)
        events += new
        if gauged:
            due = (event.since for event in new if event.kind is IdleEventKind.DUE)
            unproven.update(since for since in due if not is_evident(gauged, since))
    return AttemptJudgement(
        attempt_id=attempt_id,
        gpu_uuids=tuple(sorted(spells)),
        spells=joined(spells_together),
        events=tuple(events),
        rested_gpu_ms=GpuMs(rested_ms),
        freed_gpu_ms=GpuMs(freed_ms),
        cpu_waited_ms=cpu_waited_ms,
        unproven_since=frozenset(unproven),
        is_too_coarse=too_coarse,
        is_stopped=rule.policy.action is not IdleAction.REPORT,
    )
