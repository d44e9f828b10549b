"""Bookings: GPUs for a window ahead."""

from typing import Annotated, Any

import typer

from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.durations import parse_duration
from scheduler.entrypoints.cli.instants import TIMES, parse_instant
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    hours_of,
    moment,
    print_fields,
    print_json,
    print_table,
    print_text,
    utc,
)
from scheduler.entrypoints.cli.workloads import Owner, PriorityClass, Project

booking_app = typer.Typer(help="List, show and cancel bookings.", no_args_is_help=True, add_completion=False)
app = typer.Typer(add_completion=False)

BookingId = Annotated[str, typer.Argument(help="The booking's id.", show_default=False)]


@app.command()
def book(
    *,
    project: Project,
    gpu_class: Annotated[str, typer.Option("--class", "--gpu-class", "-c", help="The GPU class.")],
    gpus: Annotated[int, typer.Option("--gpus", "-g", help="GPUs in all.")],
    starts_at: Annotated[str, typer.Option("--from", help=f"now; {TIMES}.")],
    how_long: Annotated[str, typer.Option("--for", help="How long: 4h, 2d.")],
    name: Annotated[str, typer.Option(help="What it is called.")] = "booking",
    compensation: Annotated[
        bool, typer.Option("--use-compensation", help="Your compensation may pay for it.")
    ] = False,
    priority_class: PriorityClass = None,
    owner: Owner = None,
    as_json: AsJson = False,
) -> None:
    """Book GPUs for a window. Its hours are held at once and charged from its start, used or not."""
    with connect() as api:
        body = {
            "project": project,
            "gpu_class": gpu_class,
            "gpus": gpus,
            "starts_at": parse_instant(starts_at, "--from", api.clock),
            "length_ms": parse_duration(how_long, "--for"),
            "name": name,
            "uses_compensation": compensation,
            "priority_class": priority_class,
            "owner": owner,
        }
        made = api.post("/v1/bookings", body)
        if as_json:
            print_json(made)
            return
        print_text(
            f"{made['id']}: {made['gpus']} × {made['gpu_class']} from {utc(made['starts_at'])} until "
            f"{utc(made['ends_at'])}; {hours_of(made, 'held')} are held."
        )


@booking_app.command("list")
def list_bookings(as_json: AsJson = False) -> None:
    """List bookings of your team that are ahead or active, and your own that are over."""
    with connect() as api:
        page = api.get("/v1/bookings")
        if as_json:
            print_json(page)
            return
        columns = (
            Column("BOOKING"),
            Column("PHASE"),
            Column("GPUS"),
            Column("FROM (UTC)"),
            Column("UNTIL"),
            Column("PROJECT", width_max=14),
        )
        rows = [
            (
                b["id"],
                b["phase"],
                f"{b['gpus']} {b['gpu_class']}",
                moment(b["starts_at"]),
                moment(b["ends_at"])[5:],
                b["project"] or "personal",
            )
            for b in page["items"]
        ]
        print_table(columns, rows, empty="Nothing is booked.")


@booking_app.command()
def show(booking: BookingId, as_json: AsJson = False) -> None:
    """Show a booking: what it holds and was charged, what runs inside it, and what went unused."""
    with connect() as api:
        found = api.get(f"/v1/bookings/{booking}")
        if as_json:
            print_json(found)
        else:
            _show(found)


@booking_app.command()
def cancel(booking: BookingId, as_json: AsJson = False) -> None:
    """Give a booking back. Late, a share of what it has not used is charged: `allot booking show` says how much."""
    with connect() as api:
        found = api.post(f"/v1/bookings/{booking}/cancel")
        if as_json:
            print_json(found)
            return
        print_text(f"{found['id']} is cancelled; {hours_of(found, 'charged')} were charged for it.")


def _show(found: dict[str, Any]) -> None:
    print_fields(
        [
            ("booking", f"{found['id']} ({found['name']}), {found['phase']}"),
            ("for", f"{found['owner']}, {found['project'] or 'personal'}"),
            ("GPUs", f"{found['gpus']} × {found['gpu_class']} on {', '.join(found['nodes'])}"),
            ("notice", found["notice"]),
            ("window", f"{moment(found['starts_at'])} – {moment(found['ends_at'])} UTC"),
            ("held", hours_of(found, "held")),
            ("charged", hours_of(found, "charged")),
            ("used inside", hours_of(found, "used_inside")),
            ("unused so far", hours_of(found, "unused")),
            (
                "cancelling now",
                f"costs {hours_of(found, 'late_fee')}" if found["phase"] in {"booked", "active"} else "",
            ),
            ("runs inside", ", ".join(found["runs_inside"])),
        ]
    )
