"""`allot gpu`: what agents send and what follows from it, and the idle rules over one's own recordings."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from scheduler.adapters.policy_files import read_bytes
from scheduler.adapters.policy_files.policy_reader import read_policy
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.idleness import IdleRule
from scheduler.domain.periods import iso
from scheduler.domain.policy import Policy
from scheduler.domain.units import MS_PER_HOUR, MS_PER_SECOND
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.durations import parse_duration
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    moment,
    print_json,
    print_simulated,
    print_table,
    print_text,
)
from scheduler.entrypoints.cli.recordings import read_recording
from scheduler.entrypoints.web.formatting import DASH, duration
from scheduler.metering.judge import Judgement, Recorded, judge, warned_and_due
from scheduler.metering.spells import Spell

app = typer.Typer(
    help="See what agents send and what is idle; try idle rules on recordings.",
    no_args_is_help=True,
    add_completion=False,
)

_Samples = Annotated[
    Path,
    typer.Option(exists=True, dir_okay=False, readable=True, show_default=False, help="A CSV file of readings."),
]
_PolicyFile = Annotated[
    Path,
    typer.Option(exists=True, dir_okay=False, readable=True, show_default=False, help="A policy with idle rules."),
]
GAP_INTERVALS = 5 / 2
"""A pause of more than so many of the recording's usual intervals is a gap, as the agent has it."""


@app.command("judge")
def judge_recording(
    samples: _Samples,
    policy: _PolicyFile,
    rule: Annotated[str | None, typer.Option(help="Which of its rules; the first where none is named.")] = None,
    gap: Annotated[str | None, typer.Option(help="A longer pause between two readings is unknown: 60s, 5m.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what the idle rules would have done on a recording: states, warnings, stops, and GPU-hours handed back."""
    terms = _rule(read_policy(read_bytes(policy), policy.name), rule)
    rows = read_recording(samples)
    gap_ms = parse_duration(gap, "--gap") if gap is not None else usual_gap_ms(rows)
    found = judge(rows, terms.policy, terms.thresholds, gap_ms)
    if as_json:
        print_json(_as_object(found, terms, gap_ms))
    else:
        _print_judgement(found, terms)


@app.command()
def agents(as_json: AsJson = False) -> None:
    """List the nodes' agents: how each senses, and what it could not deliver."""
    with connect() as api:
        found = api.get("/v1/nodes")
        if as_json:
            print_json(found)
            return
        columns = (
            Column("NODE", width_max=24),
            Column("STATE"),
            Column("GPUS", is_number=True),
            Column("SICK", is_number=True),
            Column("READ UNTIL"),
            Column("WAITING", is_number=True),
            Column("LOST", is_number=True),
            Column("REFUSED", is_number=True),
        )
        print_table(columns, [_agent_row(agent) for agent in found["items"]], empty="No agent has reported yet.")
        print_simulated(api)


@app.command()
def refused(as_json: AsJson = False) -> None:
    """List what was refused of what agents sent, counted by node, GPU and reason."""
    with connect() as api:
        found = api.get("/v1/refused-samples")
        if as_json:
            print_json(found)
            return
        columns = (Column("NODE", width_max=20), Column("CODE"), Column("COUNT", is_number=True), Column("LAST"))
        rows = [(each["node"], each["code"], str(each["count"]), moment(each["last_at"])) for each in found["items"]]
        notes = [f"{each['gpu_uuid']} {each['detail']}".strip() for each in found["items"]]
        print_table(columns, rows, notes, empty="Nothing was refused.")
        print_simulated(api)


@app.command()
def reclaims(as_json: AsJson = False) -> None:
    """List what was due by the idle rules, taken or not: read this before you end a dry run."""
    with connect() as api:
        found = api.get("/v1/reclaims")
        if as_json:
            print_json(found)
            return
        columns = (
            Column("WHEN"),
            Column("WORKLOAD"),
            Column("RESTED", is_number=True),
            Column("ACTION"),
            Column("DONE"),
            Column("CAME BACK", is_number=True),
        )
        print_table(columns, [_reclaim_row(each) for each in found["items"]], empty="Nothing was due.")
        print_simulated(api)


def _agent_row(agent: dict[str, Any]) -> tuple[str, ...]:
    return (
        agent["node"],
        agent["sensor_state"],
        str(agent["devices"]),
        str(agent["unhealthy"]),
        moment(agent["windows_until"]),
        str(agent["waiting"]),
        str(agent["lost"]),
        str(agent["refused"]),
    )


def _reclaim_row(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        moment(each["at"]),
        each["workload_id"],
        duration(each["rested_ms"]),
        each["action"],
        "yes" if each["is_taken"] else f"no: {each['hindrance']}",
        f"{each['hours_back_ms'] / MS_PER_HOUR:.1f} h" if each["is_taken"] else DASH,
    )


def usual_gap_ms(rows: Sequence[Recorded]) -> int:
    """By the recording's own pace: the usual interval between two readings of a device."""
    by_device: dict[str, list[int]] = {}
    for row in rows:
        by_device.setdefault(row.gpu_uuid, []).append(row.at)
    steps = [
        after - before
        for instants in by_device.values()
        for before, after in zip(sorted(set(instants)), sorted(set(instants))[1:], strict=False)
    ]
    return max(MS_PER_SECOND, int(median(steps) * GAP_INTERVALS)) if steps else MS_PER_SECOND


def _rule(policy: Policy, name: str | None) -> IdleRule:
    if name is None:
        return policy.idle_rules[0] if policy.idle_rules else IdleRule("default")
    for rule in policy.idle_rules:
        if rule.name == name:
            return rule
    known = ", ".join(rule.name for rule in policy.idle_rules) or "none"
    raise InvalidInput(
        f"the policy has no idle rule {name!r}", code=RefusalCode.INVALID_VALUE, where="--rule", expected=known
    )


def _as_object(found: Sequence[Judgement], rule: IdleRule, gap_ms: int) -> dict[str, Any]:
    attempts = [each for each in found if each.attempt_id is not None]
    return {
        "rule": rule.name,
        "action": rule.policy.action.value,
        "is_dry_run": rule.policy.is_dry_run,
        "window_seconds": rule.policy.window_ms / 1_000,
        "gap_seconds": gap_ms / 1_000,
        "gpus": [
            {"gpu_uuid": each.gpu_uuids[0], **_spells(each.spells)} for each in found if each.attempt_id is None
        ],
        "attempts": [_attempt(each) for each in attempts],
        "returned_gpu_hours": _gpu_hours(sum(each.returned_gpu_ms for each in attempts)),
    }


def _attempt(each: Judgement) -> dict[str, Any]:
    warned, due = warned_and_due(each)
    return {
        "attempt": each.attempt_id,
        "gpu_uuids": list(each.gpu_uuids),
        **_spells(each.spells),
        "warned_at": [iso(event.at) for event in warned],
        "stopped_at": [iso(event.at) for event in due],
        "returned_gpu_hours": _gpu_hours(each.returned_gpu_ms),
    }


def _spells(spells: Sequence[Spell]) -> dict[str, Any]:
    seconds: Counter[str] = Counter()
    for spell in spells:
        seconds[spell.state.value] += spell.end - spell.start
    return {
        "intervals": [{"start": iso(s.start), "end": iso(s.end), "state": s.state.value} for s in spells],
        "seconds_by_state": {state: ms / 1_000 for state, ms in sorted(seconds.items())},
    }


def _gpu_hours(gpu_ms: int) -> float:
    return round(gpu_ms / MS_PER_HOUR, 4)


def _print_judgement(found: Sequence[Judgement], rule: IdleRule) -> None:
    columns = (
        Column("ATTEMPT", width_max=20),
        Column("ACTIVE", is_number=True),
        Column("IDLE", is_number=True),
        Column("HUNG", is_number=True),
        Column("UNKNOWN", is_number=True),
        Column("STOPPED"),
        Column("BACK", is_number=True),
    )
    print_table(
        columns, [_row(each) for each in found], empty="The recording has fewer than two readings of any GPU."
    )
    total_ms = sum(each.returned_gpu_ms for each in found)
    print_text(f"Under the rule {rule.name}, {total_ms / MS_PER_HOUR:.1f} GPU-hours would have come back.")


def _row(each: Judgement) -> tuple[str, ...]:
    ms: Counter[str] = Counter()
    for spell in each.spells:
        ms[spell.state.value] += spell.end - spell.start
    _, due = warned_and_due(each)
    states = [
        duration(ms[state]) if ms[state] else DASH for state in ("active", "idle-held", "suspected-hung", "unknown")
    ]
    is_attempt = each.attempt_id is not None
    return (
        each.attempt_id if each.attempt_id is not None else each.gpu_uuids[0],
        *states,
        moment(iso(due[0].at)) if due else DASH,
        f"{each.returned_gpu_ms / MS_PER_HOUR:.1f} h" if is_attempt else DASH,
    )
