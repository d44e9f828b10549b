"""`allot approvals`: what waits for a second person, and its decision."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from scheduler.domain.quantities import unit_named
from scheduler.domain.wording import counted
from scheduler.entrypoints.cli.client import Api, connect
from scheduler.entrypoints.cli.instants import DAYS, parse_instant
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    print_fields,
    print_json,
    print_table,
    print_text,
    told,
    utc,
)
from scheduler.entrypoints.cli.packages import parse_quantity
from scheduler.entrypoints.web.formatting import in_percent

app = typer.Typer(help="What waits for a second person.", no_args_is_help=True, add_completion=False)

Name = Annotated[
    str, typer.Argument(help="Its hash, or the beginning of it; or its id.", metavar="HASH", show_default=False)
]


@app.command("list")
def list_approvals(
    everything: Annotated[bool, typer.Option("--all", help="Those that were decided, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what waits, as far as you may decide it or asked for it."""
    with connect() as api:
        page = api.get("/v1/approvals", waiting=str(not everything).lower())
        if as_json:
            print_json(page)
        else:
            print_list(page["items"], empty="Nothing waits for you.")


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one with everything that it would do, and every step that was taken."""
    with connect() as api:
        found = api.get(f"/v1/approvals/{quote(name, safe='')}")
        if as_json:
            print_json(found)
        else:
            _print_one(found)


@app.command()
def approve(
    name: Name,
    amount: Annotated[
        str | None, typer.Option("--hours", "--amount", help="Of a request: only so much, in its unit.")
    ] = None,
    until: Annotated[str | None, typer.Option(help=f"Of a request: only until {DAYS}.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Why, where there is more to say.")] = None,
    as_json: AsJson = False,
) -> None:
    """Let it take effect. Not by who asked for it, nor by anybody whom it benefits."""
    with connect() as api:
        body = {
            "quantity": _lower(api, name, amount),
            "until": parse_instant(until, "--until", api.clock),
            "reason": reason,
        }
        found = api.post(f"/v1/approvals/{quote(name, safe='')}/approve", body)
        if as_json:
            print_json(found)
        else:
            print_text(f"{found['kind']} {found['hash'][:12]} of {found['asked_by']} takes effect: {_made(found)}.")


@app.command()
def reject(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why not.")],
    as_json: AsJson = False,
) -> None:
    """Refuse it, and say why."""
    with connect() as api:
        found = api.post(f"/v1/approvals/{quote(name, safe='')}/reject", {"reason": reason})
        if as_json:
            print_json(found)
        else:
            print_text(f"{found['kind']} {found['hash'][:12]} of {found['asked_by']} is rejected.")


def waits(made: dict[str, Any]) -> bool:
    """Whether an answer is a proposal that waits, and no change that took effect."""
    return made.get("state") == "waiting"


def print_waiting(made: dict[str, Any]) -> None:
    """What somebody reads who proposed a change that needs another: what waits, and what the other one types."""
    short = made["hash"][:12]
    what = f"{made['shown']} for {made['holder']}" if made["holder"] else made["file"]
    print_text(f"Waits for a second person: {made['kind']} of {what}, hash {short}.")
    if made["raises"] and not made["holder"]:
        changes = f"changes {counted(len(made['raises']), 'price')}" if made["kind"] == "prices" else made["reason"]
        print_text(f"It {changes}.")
    if made["coverage"]:
        print_text(f"{_fullest(made)}.")
    print_text(f"Another ({' or '.join(made['deciders'])}) runs: allot approvals approve {short}")


def print_list(items: Sequence[dict[str, Any]], *, empty: str) -> None:
    columns = (
        Column("HASH"),
        Column("KIND"),
        Column("STATE"),
        Column("ASKED BY", width_max=16),
        Column("FOR", width_max=14),
        Column("HOW MUCH", is_number=True, width_max=20),
    )
    rows = [
        (
            item["hash"][:12],
            item["kind"],
            item["state"],
            item["asked_by"],
            item["holder"] or item["file"] or "",
            item["shown"],
        )
        for item in items
    ]
    notes = [". ".join(filter(None, (item["reason"], _stale(item), _fullest(item)))) for item in items]
    print_table(columns, rows, notes, empty=empty)


def _print_one(found: dict[str, Any]) -> None:
    print_text(f"{found['kind']} {found['id']}: {found['state']}", style="bold")
    print_fields(
        (
            ("hash", found["hash"]),
            ("asked", f"{utc(found['asked_at'])} by {found['asked_by']} ({found['role']})"),
            ("why", found["reason"]),
            ("waits in vain", told(found["stale"])),
            ("for", f"{found['holder_kind']} {found['holder']}" if found["holder"] else ""),
            ("how much", found["shown"]),
            ("of", found["allowance"] or ""),
            ("GPU classes", ", ".join(found["gpu_classes"] or ())),
            ("until", utc(found["until"]) if found["until"] else ""),
            ("terms", "; ".join(found["terms"])),
            ("package" if found["kind"] == "package" else "file", found["file"] or ""),
            *(("coverage", f"{each['gpu_class']} {_brought(each)}") for each in found["coverage"]),
        )
    )
    for change in found["raises"]:
        print_text(f"  {change['path']}: {_value(change['before'])} → {_value(change['after'])}")
    for move in found["moves"]:
        said = f": {move['reason']}" if move["reason"] else ""
        less = f", {move['shown']} of it" if move["shown"] else ""
        print_text(f"{utc(move['at'])}: {move['state']} by {move['by']} ({move['role']}){less}{said}")


def _stale(item: dict[str, Any]) -> str:
    return f"It can no longer be approved: {told(item['stale'])}" if item["stale"] else ""


def _fullest(item: dict[str, Any]) -> str:
    """The class of which most would be promised, of those that it changes."""
    if not item["coverage"]:
        return ""
    most = max(item["coverage"], key=lambda each: fullness(each, "ratio_after_per_mille"))
    return f"With it, most is promised of {most['gpu_class']}: {_brought(most)}"


def _brought(found: dict[str, Any]) -> str:
    """What is promised of a class in its fullest period, with the proposal and without."""
    without = in_percent(found["ratio_before_per_mille"])
    return f"{in_percent(found['ratio_after_per_mille'])} in {found['period']} ({without} without it)"


def fullness(found: dict[str, Any], name: str = "ratio_per_mille") -> float:
    """Where nothing is delivered, anything is too much."""
    ratio = found[name]
    return float("inf") if ratio is None else float(ratio)


def _lower(api: Api, name: str, amount: str | None) -> int | None:
    """So much in the unit of what is asked."""
    if amount is None:
        return None
    unit = api.get(f"/v1/approvals/{quote(name, safe='')}")["unit"]
    return parse_quantity(amount, unit_named(unit or "standard"), "--amount")


def _value(value: object) -> str:
    return "nothing" if value is None else str(value)


def _made(found: dict[str, Any]) -> str:
    made = str(found["moves"][-1]["made"])
    if found["kind"] == "token":
        return f"token {made} is good"
    return made if found["holder"] else f"sha256 {made[:12]} is in force"
