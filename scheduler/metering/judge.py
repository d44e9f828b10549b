"""The idle rules over a recording: which states there were, who would have been warned and stopped when, and how many
GPU-hours would have come back. For tuning a policy on one's own history before it acts on anybody.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from scheduler.domain.idleness import IdlePolicy, IdleThresholds
from scheduler.domain.units import AttemptId, GpuMs, GpuUuid, Instant
from scheduler.metering.idle import Baseline, IdleState, Observation, classify
from scheduler.metering.idle_clock import IdleClock, IdleEvent, IdleEventKind, tick
from scheduler.metering.spells import Spell, joined, together


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of a recording. What its cell did not hold is None."""

    at: Instant
    gpu_uuid: GpuUuid
    attempt_id: AttemptId | None = None
    percent: int | None = None
    milliwatts: int | None = None
    energy_millijoules: int | None = None
    process_count: int | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one device (`attempt_id` None) or one attempt. `returned_gpu_ms` is what acting would have freed: from each
    due instant until work was seen again, or the recording of the attempt ended."""

    attempt_id: AttemptId | None
    gpu_uuids: tuple[GpuUuid, ...]
    spells: tuple[Spell, ...]
    events: tuple[IdleEvent, ...] = ()
    returned_gpu_ms: GpuMs = GpuMs(0)


def judge(
    rows: Iterable[Recorded], policy: IdlePolicy, thresholds: IdleThresholds, gap_ms: int
) -> tuple[Judgement, ...]:
    """Every device, and then every attempt, in the order of their names. Rows may come in any order; of two rows of
    a device at one instant the first counts. A pause over `gap_ms` between two rows is unknown."""
    by_device: dict[GpuUuid, list[Recorded]] = {}
    for row in rows:
        by_device.setdefault(row.gpu_uuid, []).append(row)
    of_devices: list[Judgement] = []
    of_attempts: dict[AttemptId, dict[GpuUuid, list[Spell]]] = {}
    for uuid in sorted(by_device):
        told = list(_tell(_in_order(by_device[uuid]), thresholds, gap_ms))
        of_devices.append(Judgement(None, (uuid,), joined(spell for spell, _ in told)))
        for spell, attempt_id in told:
            if attempt_id is not None:
                of_attempts.setdefault(attempt_id, {}).setdefault(uuid, []).append(spell)
    return (*of_devices, *(_judge_attempt(each, of_attempts[each], policy) for each in sorted(of_attempts)))


def _in_order(rows: list[Recorded]) -> list[Recorded]:
    ordered = sorted(rows, key=lambda row: row.at)
    return [next(same) for _, same in groupby(ordered, key=lambda row: row.at)]


def _tell(
    rows: Sequence[Recorded], thresholds: IdleThresholds, gap_ms: int
) -> Iterable[tuple[Spell, AttemptId | None]]:
    """The state between each row and the one before it, with the attempt that had the device all that time."""
    baseline = Baseline()
    for before, after in pairwise(rows):
        seen = _observe(before, after, gap_ms)
        baseline = baseline.learn(seen, thresholds)
        attempt_id = after.attempt_id if before.attempt_id == after.attempt_id else None
        yield Spell(before.at, after.at, classify(seen, baseline, thresholds)), attempt_id


def _observe(before: Recorded, after: Recorded, gap_ms: int) -> Observation:
    """Power is the counter's where it rose, and the gauge's where there is no counter."""
    length_ms = after.at - before.at
    milliwatts = after.milliwatts
    if before.energy_millijoules is not None and after.energy_millijoules is not None:
        risen = after.energy_millijoules - before.energy_millijoules
        milliwatts = risen * 1_000 // length_ms if risen >= 0 else milliwatts
    return Observation(
        start=before.at,
        end=after.at,
        covered_ms=length_ms if length_ms <= gap_ms else 0,
        percent_max=after.percent,
        milliwatts=milliwatts,
        process_count=after.process_count,
    )


def _judge_attempt(attempt_id: AttemptId, spells: dict[GpuUuid, list[Spell]], policy: IdlePolicy) -> Judgement:
    spells_together = together(list(spells.values()))
    clock = IdleClock(launched_at=spells_together[0].start)
    events: list[IdleEvent] = []
    returned_ms = 0
    for spell in spells_together:
        if clock.is_due and spell.state is IdleState.IDLE_HELD:
            returned_ms += spell.end - spell.start
        clock, new = tick(clock, spell.state, (spell.start, spell.end), policy)
        events += new
    return Judgement(
        attempt_id, tuple(sorted(spells)), joined(spells_together), tuple(events), GpuMs(returned_ms * len(spells))
    )


def warned_and_due(judgement: Judgement) -> tuple[tuple[IdleEvent, ...], tuple[IdleEvent, ...]]:
    """The warnings, and the actions that would have been taken."""
    warned = tuple(event for event in judgement.events if event.kind is IdleEventKind.WARNED)
    return warned, tuple(event for event in judgement.events if event.kind is IdleEventKind.DUE)
