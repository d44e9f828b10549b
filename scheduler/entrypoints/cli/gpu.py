"""`allot gpu`: what agents send and what follows from it, and the idle rules over one's own recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from scheduler.adapters.clock import SystemClock
from scheduler.adapters.policy_files import read_bytes
from scheduler.adapters.policy_files.policy_reader import read_policy
from scheduler.adapters.prometheus.history import PromRange, read_prometheus
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.idleness import IdleAction, IdleRule
from scheduler.domain.policy import Policy
from scheduler.domain.units import GpuUuid, Instant
from scheduler.domain.wording import counted
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.durations import parse_duration
from scheduler.entrypoints.cli.judgements import as_object, print_judged
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    moment,
    print_json,
    print_table,
    print_text,
)
from scheduler.entrypoints.cli.packed_recordings import read_packed
from scheduler.entrypoints.web.fault_words import FAULT_OUTCOMES
from scheduler.entrypoints.web.formatting import DASH, duration, hours
from scheduler.entrypoints.web.reclaim_words import became_of, came_back, why_left_alone
from scheduler.metering.judge import judge_devices
from scheduler.metering.packed import PackedRows, by_device

app = typer.Typer(
    help="See what agents send and what is idle; try idle rules on recordings.",
    no_args_is_help=True,
    add_completion=False,
)

_Samples = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, readable=True, show_default=False, help="Readings, as CSV or Parquet."),
]
_Prometheus = Annotated[
    str | None,
    typer.Option(show_default=False, help="Instead: the address of a Prometheus with dcgm-exporter's metrics."),
]
_PolicyFile = Annotated[
    Path,
    typer.Option(exists=True, dir_okay=False, readable=True, show_default=False, help="A policy with idle rules."),
]


@app.command("judge")
def judge_recording(
    *,
    policy: _PolicyFile,
    samples: _Samples = None,
    prometheus: _Prometheus = None,
    since: Annotated[str, typer.Option(help="How far back to ask Prometheus.")] = "1d",
    step: Annotated[str, typer.Option(help="How far apart Prometheus' rows are to be.")] = "30s",
    rule: Annotated[str | None, typer.Option(help="Which of its rules; the first where none is named.")] = None,
    gap: Annotated[
        str | None,
        typer.Option(help="From which pause on a GPU is unread: 60s, 5m."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what the idle rules would have done on a recording: states, warnings, stops, and GPU-hours handed back."""
    terms = _rule(read_policy(read_bytes(policy), policy.name), rule)
    gap_ms = None if gap is None else parse_duration(gap, "--gap")
    pace = parse_duration(since, "--since"), parse_duration(step, "--step")
    readings = _readings(samples, prometheus, pace, any_use_counts=terms.thresholds.percent == 0)
    found = judge_devices(readings, terms, gap_ms)
    if as_json:
        print_json(as_object(found, terms))
    else:
        print_judged(found, terms)


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
            Column("READ UNTIL (UTC)"),
            Column("WAITING", is_number=True),
            Column("LOST", is_number=True),
            Column("REFUSED", is_number=True),
        )
        rows = [_agent_row(agent) for agent in found["items"]]
        notes = [_agent_note(agent) for agent in found["items"]]
        print_table(columns, rows, notes, empty="No agent has reported yet.")


@app.command()
def refused(as_json: AsJson = False) -> None:
    """List what was refused of what agents sent, counted by node, GPU and reason."""
    with connect() as api:
        found = api.get("/v1/refused-samples", limit=_ROWS_TOLD)
        if as_json:
            print_json(found)
            return
        columns = (
            Column("NODE", width_max=20),
            Column("CODE"),
            Column("COUNT", is_number=True),
            Column("LAST (UTC)"),
        )
        items = found["items"]
        rows = [(each["node"], each["code"], str(each["count"]), moment(each["last_at"])) for each in items]
        notes = [": ".join(filter(None, (each["gpu_uuid"], each["detail"]))) for each in items]
        _print_latest(columns, rows, notes, empty="Nothing was refused.")


@app.command()
def reclaims(as_json: AsJson = False) -> None:
    """List what was due by the idle rules, taken or not: read this before you end a dry run."""
    with connect() as api:
        found = api.get("/v1/reclaims", limit=_ROWS_TOLD)
        if as_json:
            print_json(found)
            return
        columns = (
            Column("WHEN (UTC)"),
            Column("WORKLOAD", width_max=18),
            Column("OWNER", width_max=16),
            Column("RESTED", is_number=True),
            Column("OUTCOME"),
            Column("CAME BACK", is_number=True),
        )
        rows = [_reclaim_row(each) for each in found["items"]]
        notes = [_reclaim_note(each) for each in found["items"]]
        _print_latest(columns, rows, notes, empty="Nothing was due.")


@app.command()
def misuse(as_json: AsJson = False) -> None:
    """List processes on GPUs that were not given to them: another pod's, the host's, and what looks like mining."""
    with connect() as api:
        found = api.get("/v1/misuses", limit=_ROWS_TOLD)
        if as_json:
            print_json(found)
            return
        columns = (
            Column("LAST (UTC)"),
            Column("NODE", width_max=16),
            Column("KIND"),
            Column("PROCESS", width_max=15),
            Column("WINDOWS", is_number=True),
        )
        rows = [_misuse_row(each) for each in found["items"]]
        notes = [_misuse_note(each) for each in found["items"]]
        _print_latest(columns, rows, notes, empty="Nobody was seen where they had no business.")
        unseen = found["unavailable_on"]
        if unseen:
            named = ", ".join(unseen[:_NODES_NAMED_MAX]) + (", …" if len(unseen) > _NODES_NAMED_MAX else "")
            print_text(f"Unavailable on {counted(len(unseen), 'node')}, where processes cannot be seen: {named}.")


@app.command()
def faults(as_json: AsJson = False) -> None:
    """List hardware errors of GPUs (Xids) of the last month, and what became of the work that had them."""
    with connect() as api:
        found = api.get("/v1/gpu-faults", limit=_ROWS_TOLD)
        if as_json:
            print_json(found)
            return
        columns = (
            Column("UNTIL (UTC)"),
            Column("NODE", width_max=16),
            Column("XID", is_number=True),
            Column("WHICH IS", width_max=24),
            Column("ITS WORK"),
        )
        rows = [_fault_row(each) for each in found["items"]]
        notes = [_fault_note(each) for each in found["items"]]
        _print_latest(columns, rows, notes, empty="No GPU reported an error of its hardware.")


@app.command()
def conservation(
    period: Annotated[str | None, typer.Option(help="Such as 2026-11-20, 2026-W47 or 2026-11; else today.")] = None,
    node: Annotated[str | None, typer.Option(help="A node: then of each of its GPUs.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show where every GPU-hour of capacity went, node by node or GPU by GPU, and whether anything is unexplained."""
    with connect() as api:
        path = "/v1/conservation" if node is None else f"/v1/conservation/{quote(node, safe='')}"
        found = api.get(path, period=period)
        if as_json:
            print_json(found)
            return
        if node is not None:
            _print_gpus(found)
            return
        columns = (Column("NODE", width_max=12), *_ACCOUNT)
        rows = [(each["node"], *_account(each)) for each in found["nodes"]]
        rows.append(("all", *_account(found["total"])))
        print_table(columns, rows)
        unexplained = found["total"]["unexplained_ms"]
        print_text(f"GPU-hours of {found['period']}; unexplained: {hours(unexplained)}.")


def _print_latest(
    columns: Sequence[Column], rows: Sequence[tuple[str, ...]], notes: Sequence[str], empty: str
) -> None:
    """What the table has no room for is said; without the count where there may be more than was told."""
    print_table(columns, rows[:_ROWS_SHOWN], notes[:_ROWS_SHOWN], empty=empty)
    if len(rows) >= _ROWS_TOLD:
        print_text(f"These are the latest {_ROWS_SHOWN}; --json has the latest {_ROWS_TOLD:,}.", style="dim")
    elif len(rows) > _ROWS_SHOWN:
        print_text(f"and {len(rows) - _ROWS_SHOWN} more, in --json", style="dim")


def _misuse_row(each: dict[str, Any]) -> tuple[str, ...]:
    name = each["name"] or DASH
    return moment(each["last_at"]), each["node"], each["kind"], name, str(each["windows"])


def _fault_row(each: dict[str, Any]) -> tuple[str, ...]:
    return moment(each["end"]), each["node"], str(each["xid"]), each["means"], FAULT_OUTCOMES[each["outcome"]]


def _fault_note(each: dict[str, Any]) -> str:
    work = _work(each["work"])
    return f"{each['gpu_uuid']}: {work}" if work is not None else f"{each['gpu_uuid']}"


def _misuse_note(each: dict[str, Any]) -> str:
    told = {
        "of": _work(each["work"]),
        "pod": each["pod_uid"],
        "on a GPU given to": _work(each["holder_work"]),
        "pid": each["pid"],
    }
    return f"{each['gpu_uuid']}: " + ", ".join(f"{name} {value}" for name, value in told.items() if value is not None)


def _work(work: dict[str, Any] | None) -> str | None:
    """`train (Ada Moreau)`; nothing where the process or the GPU is of no attempt of ours."""
    if work is None:
        return None
    owner = f" ({work['owner_name']})" if work["owner_name"] else ""
    return f"{work['workload_name']}{owner}"


_NODES_NAMED_MAX = 5
_ROWS_SHOWN = 100
_ROWS_TOLD = 1_000
"""As many as one answer has."""


_BUCKETS = {
    "charged": "CHARGED",
    "unfunded": "UNFUND",
    "overhead": "OVERH",
    "idle": "IDLE",
    "drained": "DRAIN",
    "outside": "OUTSIDE",
    "unattributed": "UNATTR",
    "capacity": "TOTAL",
}
"""Short, so that a table fits a terminal."""
_ACCOUNT = tuple(Column(title, is_number=True) for title in _BUCKETS.values())


def _account(each: dict[str, Any]) -> tuple[str, ...]:
    return tuple(hours(each[f"{name}_ms"]) for name in _BUCKETS)


def _print_gpus(found: dict[str, Any]) -> None:
    """A GPU by the end of its UUID; those that no reading names stand together."""
    rows = [(each["gpu_uuid"][-8:] or "not read", *_account(each)) for each in found["gpus"]]
    print_table((Column("GPU", width_max=12), *_ACCOUNT), rows)
    unexplained = sum(each["unexplained_ms"] for each in found["gpus"])
    print_text(f"GPU-hours of {found['period']} on {found['node']}; unexplained: {hours(unexplained)}.")


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


def _agent_note(agent: dict[str, Any]) -> str:
    if not agent["never_idle"]:
        return ""
    counts = counted(agent["never_idle"], "GPU is", "GPUs are")
    watts = f"{agent['never_idle_watts']} W or more without use, above baseline_watts_max"
    return f"{counts} never idle: {watts}. Raise it if that is rest."


def _reclaim_row(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        moment(each["at"]),
        each["workload_name"],
        each["owner_name"] or each["owner"],
        duration(each["rested_ms"]),
        became_of(each["action"], is_taken=each["is_taken"]),
        came_back(each["came_back_ms"], ()) if each["is_taken"] else DASH,
    )


def _reclaim_note(each: dict[str, Any]) -> str:
    if each["is_taken"]:
        return f"came back besides: {', '.join(each['came_back'])}" if each["came_back"] else ""
    missed = became_of(each["action"], is_taken=True)
    why = why_left_alone(each["hindrance"])
    return f"not {missed}: {why}" if each["action"] != IdleAction.REPORT else why


def _readings(
    samples: Path | None, prometheus: str | None, pace: tuple[int, int], *, any_use_counts: bool
) -> dict[GpuUuid, PackedRows]:
    """`pace`: how far back to ask Prometheus, and how far apart, in milliseconds."""
    if samples is not None and prometheus is None:
        return read_packed(samples, any_use_counts=any_use_counts)
    if prometheus is not None and samples is None:
        since_ms, step_ms = pace
        now = SystemClock().now()
        return by_device(read_prometheus(prometheus, PromRange(Instant(now - since_ms), now, step_ms)))
    raise InvalidInput(
        "it is not said what to judge",
        code=RefusalCode.INVALID_VALUE,
        where="--samples",
        expected="either --samples FILE or --prometheus URL",
    )


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
