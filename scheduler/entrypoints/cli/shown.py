"""How workloads and explanations look in a terminal."""

from collections.abc import Sequence
from typing import Any

from scheduler.entrypoints.cli.client import Api
from scheduler.entrypoints.cli.output import (
    Column,
    hours_of,
    moment,
    print_fields,
    print_table,
    print_text,
    since,
    told,
)
from scheduler.entrypoints.cli.shown_quotes import show_quote
from scheduler.entrypoints.cli.use_shown import show_use
from scheduler.entrypoints.web.formatting import DASH, duration, multiplied_per_mille

_FINAL = {"completed", "cancelled"}
_LIVE = {"launching", "running", "stopping"}
_LIST = (
    Column("ID"),
    Column("NAME", width_max=20),
    Column("STATE"),
    Column("GPUS", width_max=18),
    Column("AGE", is_number=True),
    Column("CHARGED", is_number=True),
)


def show_workloads(workloads: Sequence[dict[str, Any]], api: Api) -> None:
    """A table; below each row that is not over, why it is where it is; and whose it is, where it is several people's."""
    is_of_several = len({workload["owner"] for workload in workloads}) > 1
    rows = [
        (
            workload["id"],
            workload["name"],
            workload["state"],
            gpus_of(workload),
            since(workload["submitted_at"], api.now),
            hours_of(workload, "charged"),
        )
        for workload in workloads
    ]
    notes = [_note(workload, names_owner=is_of_several) for workload in workloads]
    print_table(_LIST, rows, notes, empty="No workloads. `allot submit` makes one.")


def _note(workload: dict[str, Any], *, names_owner: bool) -> str:
    owner = f"{owner_of(workload)}." if names_owner else ""
    return f"{owner} {'' if workload['state'] in _FINAL else verdict_of(workload)}".strip()


def owner_of(workload: dict[str, Any]) -> str:
    """`Ada Moreau, research`; the team alone for a person who was forgotten."""
    return ", ".join(filter(None, (workload["owner_name"], workload["team"])))


def show_workload(workload: dict[str, Any], api: Api) -> None:
    """Its verdict first, then what it is."""
    print_text(f"{workload['id']}  {workload['name']}  {workload['state']}", style="bold")
    print_text(verdict_of(workload))
    last = "last " if workload["state"] == "queued" else ""
    print_fields(
        (
            ("owner", owner_of(workload)),
            ("gpus", gpus_of(workload)),
            ("asked", " or ".join(workload["gpu_classes"])),
            ("topology", workload["topology"]),
            ("project", workload["project"] or "personal"),
            ("priority class", workload["priority_class"]),
            ("time limit", duration(workload["time_limit_ms"])),
            (f"{last}nodes", ", ".join(workload["nodes"])),
            ("submitted", f"{moment(workload['submitted_at'])} UTC ({since(workload['submitted_at'], api.now)} ago)"),
            (f"{last}started", f"{moment(workload['started_at'])} UTC" if workload["started_at"] else ""),
            (f"{last}ended", f"{moment(workload['ended_at'])} UTC" if workload["ended_at"] else ""),
            ("place in queue", str(workload["rank"] or "")),
            ("charged", f"{hours_of(workload, 'charged')} of at most {hours_of(workload, 'asked')} an attempt"),
            ("funded", unfunded(workload)),
            ("address", workload["address"]),
        )
    )


def show_explanation(found: dict[str, Any], api: Api) -> None:
    """Everything behind a verdict, the nearest first."""
    show_workload(found["workload"], api)
    if found["factors"]:
        print_text("\nOrder", style="bold")
        columns = (Column("FACTOR"), Column("VALUE", width_max=36), Column("MEANING", width_max=40))
        print_table(columns, [(f["name"], told(f["value"]), f["meaning"]) for f in found["factors"]])
    if found["forecast"]:
        print_text("\nForecast", style="bold")
        show_quote(found["forecast"], verdict_of(found["workload"]))
    if found["payers"]:
        print_text("\nWho pays, in this order", style="bold")
        for payer in found["payers"]:
            print_text(f"  {told(payer)}")
    if found["attempts"]:
        print_text("\nAttempts", style="bold")
        print_table(_ATTEMPTS, [_attempt_row(attempt) for attempt in found["attempts"]])
        for attempt in found["attempts"]:
            if attempt["sizes"]:
                print_text(f"Attempt {attempt['number']} had {attempt['sizes']}.")
            if attempt["drawn"]:
                print_text(f"Of attempt {attempt['number']} was charged otherwise: {', '.join(attempt['drawn'])}.")
    show_use(found)
    print_text("\nVerdicts, newest first", style="bold")
    columns = (Column("WHEN (UTC)"), Column("REASON"), Column("VERDICT", width_max=44))
    rows = [(moment(v["at"]), v["reason"], told(v["sentence"])) for v in found["verdicts"]]
    print_table(columns, rows, empty="None yet.")


_ATTEMPTS = (
    Column("TRY", is_number=True),
    Column("STATE"),
    Column("GPUS", width_max=12),
    Column("STARTED (UTC)"),
    Column("RATE", is_number=True),
    Column("CHARGED", is_number=True),
    Column("ENDED BY", width_max=16),
)


def _attempt_row(attempt: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(attempt["number"]),
        attempt["state"],
        f"{attempt['gpus']} {attempt['gpu_class']}",
        moment(attempt["started_at"]),
        f"× {multiplied_per_mille(attempt['weight'], attempt['class_factor'])}",
        hours_of(attempt, "charged"),
        attempt["stop_reason"] or DASH,
    )


def gpus_of(workload: dict[str, Any]) -> str:
    """`16 h100 (2×8)`; of an elastic job that runs `10 h100 (5 of 8×2)`."""
    gpu_class = workload["gpu_class"] or workload["gpu_classes"][0]
    pods, each, now = workload["pods"], workload["gpus_per_pod"], workload["pods_now"]
    if workload["min_pods"] is not None and now:
        return f"{now * each} {gpu_class} ({now} of {pods}×{each})"
    least = f"{workload['min_pods']}–" if workload["min_pods"] is not None else ""
    shape = f" ({least}{pods}×{each})" if pods > 1 else ""
    return f"{workload['gpus']} {gpu_class}{shape}"


def unfunded(workload: dict[str, Any]) -> str:
    """Of its attempt that lives, or of its last one; empty where its allowance pays, or before the first."""
    if workload["is_funded"] or not workload["nodes"]:
        return ""
    return "no: running unfunded, first to go" if workload["state"] in _LIVE else "no: its last attempt ran unfunded"


def verdict_of(workload: dict[str, Any]) -> str:
    verdict = workload["verdict"]
    return told(f"{verdict['sentence']} {verdict['next_step']}".strip())
