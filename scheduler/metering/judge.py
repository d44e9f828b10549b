"""The idle rules over a recording: which states there were, who would have been warned and stopped when, and how many
GPU-hours would have come back. For tuning a policy on one's own history before it acts on anybody.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from operator import itemgetter

from scheduler.domain.idleness import IdleAction, IdleRule
from scheduler.domain.units import AttemptId, GpuMs, GpuUuid
from scheduler.metering.hidden_work import is_too_coarse, window_on_a_gauge
from scheduler.metering.idle import IdleState
from scheduler.metering.idle_clock import IdleClock, IdleEvent, IdleEventKind, tick
from scheduler.metering.packed import PackedRows, by_device
from scheduler.metering.recorded import Recorded, in_order
from scheduler.metering.recorded_states import device_states
from scheduler.metering.spells import Spell, joined, together


@dataclass(frozen=True, slots=True)
class DeviceJudgement:
    """What a device did. `idle_milliwatts` is what was taken for its idle power, None where it was never seen at rest;
    a pause over `gap_ms` between two readings was unknown."""

    gpu_uuid: GpuUuid
    spells: tuple[Spell, ...]
    idle_milliwatts: int | None
    gap_ms: int


@dataclass(frozen=True, slots=True)
class AttemptJudgement:
    """What the rule would have done to an attempt, with all of its devices. `attempt_id` is None where the recording
    names no attempts at all: then each device is judged as if one attempt had it throughout.

    `rested_gpu_ms` is what acting would have freed: from each instant at which the action was due until work was seen
    again, or the recording of the attempt ended. What was not read in between is not counted.
    """

    attempt_id: AttemptId | None
    gpu_uuids: tuple[GpuUuid, ...]
    spells: tuple[Spell, ...]
    events: tuple[IdleEvent, ...]
    rested_gpu_ms: GpuMs
    cpu_waited_ms: int
    """For how long the clock waited for busy CPUs, of all spells of rest."""
    window_ms: int
    """What it was judged by: the rule's window, or a longer one where a gauge alone would have missed its uses."""
    is_too_coarse: bool
    """A gauge alone, read too rarely to tell: nobody is warned or stopped by it."""
    is_stopped: bool
    """Whether the rule's action ends work at all: a report does not."""

    @property
    def warned(self) -> tuple[IdleEvent, ...]:
        return tuple(event for event in self.events if event.kind is IdleEventKind.WARNED)

    @property
    def due(self) -> tuple[IdleEvent, ...]:
        return tuple(event for event in self.events if event.kind is IdleEventKind.DUE)

    @property
    def stopped(self) -> tuple[IdleEvent, ...]:
        return self.due if self.is_stopped else ()

    @property
    def returned_gpu_ms(self) -> GpuMs:
        return self.rested_gpu_ms if self.is_stopped else GpuMs(0)


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
    of_attempts: dict[AttemptId, dict[GpuUuid, list[Spell]]] = {}
    on_a_gauge: set[GpuUuid] = set()
    attempts: list[AttemptJudgement] = []
    # An attempt's devices one after the other: what is known of those that wait for the others is much.
    in_turn = [uuid for attempt_id in sorted(devices_of) for uuid in sorted(devices_of[attempt_id])]
    for uuid in dict.fromkeys([*in_turn, *sorted(packed)]):
        device = packed.pop(uuid)
        ordered = in_order(device)
        states = device_states(ordered, rule, gap_ms)
        devices.append(DeviceJudgement(uuid, joined(states.spells), states.idle_milliwatts, states.gap_ms))
        if states.is_on_a_gauge:
            on_a_gauge.add(uuid)
        if not devices_of and states.spells:
            attempts.append(_judge_attempt(None, {uuid: states.spells}, on_a_gauge, rule))
        for attempt_ids, held in groupby(zip(_holders(ordered), states.spells, strict=True), key=itemgetter(0)):
            of_each = [of_attempts.setdefault(attempt_id, {}).setdefault(uuid, []) for attempt_id in attempt_ids]
            spells = [spell for _, spell in held]
            for each in of_each:
                each.extend(spells)
        for attempt_id in device.attempts:
            devices_of[attempt_id].discard(uuid)
            if not devices_of[attempt_id] and attempt_id in of_attempts:
                # Its spells go with it: those of all attempts at once would be as many as there are rows.
                attempts.append(_judge_attempt(attempt_id, of_attempts.pop(attempt_id), on_a_gauge, rule))
    devices.sort(key=lambda each: each.gpu_uuid)
    attempts.sort(key=lambda each: (each.attempt_id or "", each.gpu_uuids))
    return Judged(tuple(devices), tuple(attempts), names_attempts=bool(devices_of))


def _holders(rows: Sequence[Recorded]) -> Iterator[tuple[AttemptId, ...]]:
    """Of what lies between each row and the next: the attempts that both of them name."""
    for before, after in pairwise(rows):
        if before.attempts == after.attempts:
            yield before.attempts
        else:
            yield tuple(attempt for attempt in before.attempts if attempt in after.attempts)


def _judge_attempt(
    attempt_id: AttemptId | None, spells: dict[GpuUuid, list[Spell]], on_a_gauge: Collection[GpuUuid], rule: IdleRule
) -> AttemptJudgement:
    spells_together = together(list(spells.values()))
    gauged = [each for uuid, each in spells.items() if uuid in on_a_gauge]
    window_ms = max(rule.policy.window_ms, *(window_on_a_gauge(each) for each in gauged), 0)
    too_coarse = any(is_too_coarse(each, rule.policy.window_ms) for each in gauged)
    policy = replace(rule.policy, window_ms=window_ms)
    clock = IdleClock(launched_at=spells_together[0].start)
    events: list[IdleEvent] = []
    rested_ms = cpu_waited_ms = 0
    for spell in () if too_coarse else spells_together:
        if clock.is_due and spell.state is IdleState.IDLE_HELD:
            rested_ms += spell.end - spell.start
        before = clock.waited_ms
        clock, new = tick(clock, spell, policy)
        cpu_waited_ms += max(0, clock.waited_ms - before)
        events += new
    return AttemptJudgement(
        attempt_id=attempt_id,
        gpu_uuids=tuple(sorted(spells)),
        spells=joined(spells_together),
        events=tuple(events),
        rested_gpu_ms=GpuMs(rested_ms * len(spells)),
        cpu_waited_ms=cpu_waited_ms,
        window_ms=window_ms,
        is_too_coarse=too_coarse,
        is_stopped=rule.policy.action is not IdleAction.REPORT,
    )
