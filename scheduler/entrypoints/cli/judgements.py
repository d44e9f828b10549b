"""What `allot gpu judge` found, as one JSON object (docs/gpu.md describes it) and as a table."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from scheduler.domain.idleness import IdleRule
from scheduler.domain.periods import iso
from scheduler.domain.units import MS_PER_HOUR
from scheduler.domain.wording import counted
from scheduler.entrypoints.cli.output import Column, moment, print_table, print_text
from scheduler.entrypoints.web.formatting import DASH, duration, hours
from scheduler.metering.idle import IdleState
from scheduler.metering.idle_clock import IdleEvent
from scheduler.metering.judge import AttemptJudgement, DeviceJudgement, Judged
from scheduler.metering.spells import Spell

FORMAT: Final = "allot-gpu-judge/2"
"""Grows when a key is taken away or means something else; keys may be added to it."""

_NAMED_MAX = 5


def as_object(found: Judged, rule: IdleRule) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "rule": rule.name,
        "action": rule.policy.action.value,
        "is_dry_run": rule.policy.is_dry_run,
        "window_seconds": rule.policy.window_ms / 1_000,
        "startup_seconds": rule.policy.startup_ms / 1_000,
        "names_attempts": found.names_attempts,
        "gpus": [_device(device, found.attempts) for device in found.devices],
        "attempts": [_attempt(attempt, rule) for attempt in found.attempts],
        "returned_gpu_hours": _gpu_hours(sum(attempt.returned_gpu_ms for attempt in found.attempts)),
    }


def print_judged(found: Judged, rule: IdleRule) -> None:
    columns = (
        Column("ATTEMPT", width_max=20),
        Column("ACTIVE", is_number=True),
        Column("IDLE", is_number=True),
        Column("HUNG", is_number=True),
        Column("UNKNOWN", is_number=True),
        Column("STOPPED (UTC)"),
        Column("BACK", is_number=True),
    )
    held = {uuid for attempt in found.attempts for uuid in attempt.gpu_uuids}
    rows = [_row(device.gpu_uuid, device.spells, None) for device in found.devices if device.gpu_uuid not in held]
    rows += [_row(attempt.attempt_id or attempt.gpu_uuids[0], attempt.spells, attempt) for attempt in found.attempts]
    print_table(columns, rows, empty="The recording has no readings.")
    total_ms = sum(attempt.returned_gpu_ms for attempt in found.attempts)
    unproven = sum(len(attempt.unproven) for attempt in found.attempts)
    if unproven:
        print_text(
            f"{unproven} only reported: a gauge alone, which misses what lies between readings. Record the energy counter."
        )
    coarse = sum(attempt.is_too_coarse for attempt in found.attempts)
    if coarse:
        print_text(f"{coarse} not judged: a gauge alone, read too rarely. Record the energy counter, or more often.")
    for device in found.devices:
        _say_what_hides(device)
    _say_what_is_never_idle(found.devices, rule.thresholds.baseline_milliwatts_max)
    print_text(f"Under the rule {rule.name}, {hours(total_ms)} GPU-hours would have come back.")


def _say_what_hides(device: DeviceJudgement) -> None:
    """Why there is so little to be said of a device."""
    ms = _ms_by_state(device.spells)
    if not device.spells:
        print_text(f"{device.gpu_uuid}: a single reading, and nothing to be said of the time around it.")
    elif ms[IdleState.UNKNOWN] * 2 > ms.total():
        print_text(
            f"{device.gpu_uuid}: mostly unknown. Not read, or with pauses over {device.gap_ms / 1_000:g} s, "
            "which count as gaps (--gap says otherwise)."
        )


def _say_what_is_never_idle(devices: Sequence[DeviceJudgement], most: int) -> None:
    """GPUs that idle above what the rule learns are at work for it, and it would be silent about them for ever."""
    high = {
        device.gpu_uuid: device.unlearned_milliwatts for device in devices if device.unlearned_milliwatts is not None
    }
    if high:
        named = ", ".join(list(high)[:_NAMED_MAX]) + (", …" if len(high) > _NAMED_MAX else "")
        print_text(
            f"{counted(len(high), 'GPU is', 'GPUs are')} never idle by this rule: {min(high.values()) // 1_000} W or more "
            f"without use, above its baseline_watts_max ({most // 1_000} W). Raise it if that is rest. {named}"
        )


def _device(device: DeviceJudgement, attempts: Sequence[AttemptJudgement]) -> dict[str, Any]:
    holders = [launch for attempt in attempts for launch in attempt.with_device(device.gpu_uuid)]
    returned_ms = sum(launch.returned_gpu_ms // len(launch.gpu_uuids) for launch in holders)
    return {
        "gpu_uuid": device.gpu_uuid,
        "attempts": list(dict.fromkeys(each.attempt_id for each in holders if each.attempt_id is not None)),
        "gap_seconds": device.gap_ms / 1_000,
        "idle_watts": _watts(device.idle_milliwatts),
        "unlearned_idle_watts": _watts(device.unlearned_milliwatts),
        "witness": "gauge" if device.is_on_a_gauge else "energy",
        "use_joules": None if device.use_millijoules is None else device.use_millijoules / 1_000,
        **_spells(device.spells),
        "warned_at": _instants([event for launch in holders for event in launch.warned]),
        "stopped_at": _instants([event for launch in holders for event in launch.stopped]),
        "returned_gpu_hours": _gpu_hours(returned_ms),
    }


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1_000


def _attempt(attempt: AttemptJudgement, rule: IdleRule) -> dict[str, Any]:
    return {
        "attempt": attempt.attempt_id,
        "gpu_uuids": list(attempt.gpu_uuids),
        **_spells(attempt.spells),
        "warned_at": _instants(attempt.warned),
        "due_at": _instants(attempt.due),
        "stopped_at": _instants(attempt.stopped),
        "unproven_at": _instants(attempt.unproven),
        "window_seconds": rule.policy.window_ms / 1_000,
        "is_too_coarse": attempt.is_too_coarse,
        "cpu_wait_seconds": attempt.cpu_waited_ms / 1_000,
        "rested_gpu_hours": _gpu_hours(attempt.rested_gpu_ms),
        "returned_gpu_hours": _gpu_hours(attempt.returned_gpu_ms),
    }


def _spells(spells: Sequence[Spell]) -> dict[str, Any]:
    ms = _ms_by_state(spells)
    return {
        "intervals": [{"start": iso(s.start), "end": iso(s.end), "state": s.state.value} for s in spells],
        "seconds_by_state": {state.value: ms[state] / 1_000 for state in IdleState},
    }


def _ms_by_state(spells: Sequence[Spell]) -> Counter[IdleState]:
    ms: Counter[IdleState] = Counter()
    for spell in spells:
        ms[spell.state] += spell.end - spell.start
    return ms


def _instants(events: Sequence[IdleEvent]) -> list[str]:
    return [iso(at) for at in sorted({event.at for event in events})]


def _gpu_hours(gpu_ms: int) -> float:
    return round(gpu_ms / MS_PER_HOUR, 4)


def _row(name: str, spells: Sequence[Spell], attempt: AttemptJudgement | None) -> tuple[str, ...]:
    ms = _ms_by_state(spells)
    stopped = attempt.stopped if attempt is not None else ()
    return (
        name,
        *(duration(ms[state]) if ms[state] else DASH for state in IdleState),
        moment(iso(stopped[0].at)) if stopped else DASH,
        DASH if attempt is None else f"{hours(attempt.returned_gpu_ms)} h",
    )
