"""Who did what, and who may: the audit log as it streams by, and a review of access."""

import csv
import re
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import orjson
import typer

from scheduler.entrypoints.cli.client import Api, connect
from scheduler.entrypoints.cli.output import AsJson, Column, moment, print_json, print_table
from scheduler.entrypoints.web.formatting import who
from scheduler.finance.csv_text import safe

PAGE = 500
_HASH = re.compile("[0-9a-f]{64}")
_FIELDS = ("seq", "at", "actor", "role", "verb", "target", "request_id", "before", "after", "target_name")


def log(
    target: Annotated[str | None, typer.Option(help="Only what was done to this.", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many; all where left out.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, safe to open in a spreadsheet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print who changed what, newest first: actor, role, time, request, before and after. Auditors may.

    It is printed as it is read, a page at a time: a log of any length takes no more memory than a page.
    """
    with connect() as api:
        events = _events(api, target, limit if limit is not None or as_csv or as_json else 50)
        if as_json:
            _print_json(events)
        elif as_csv:
            writer = csv.DictWriter(sys.stdout, _FIELDS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            for event in events:
                writer.writerow(
                    {
                        name: safe(event[name] if isinstance(event[name], str) else str(event[name]))
                        for name in _FIELDS
                    }
                )
        else:
            rows = [(moment(e["at"]), who(e["actor"]), e["verb"], _target(e["target_name"])) for e in events]
            columns = (Column("WHEN (UTC)"), Column("WHO", width_max=18), Column("DID", width_max=18))
            print_table((*columns, Column("TO", width_max=22)), rows, empty="Nothing was changed yet.")


def access(as_json: AsJson = False) -> None:
    """Review access: who holds which role, since when, and who gave it. Auditors and operators may."""
    with connect() as api:
        page = api.get("/v1/audit/access")
        if as_json:
            print_json(page)
            return
        columns = (
            Column("WHO", width_max=16),
            Column("ROLE"),
            Column("THROUGH", width_max=16),
            Column("SINCE (UTC)"),
            Column("GIVEN BY", width_max=16),
        )
        rows = [
            (h["subject"] or h["principal"], h["role"], h["credential"], moment(h["since"]), who(h["by"] or ""))
            for h in page["items"]
        ]
        print_table(columns, rows)


def _target(name: str) -> str:
    """A file by the beginning of its hash, as everywhere else."""
    return name[:12] if _HASH.fullmatch(name) else name


def _events(api: Api, target: str | None, limit: int | None) -> Iterator[dict[str, Any]]:
    cursor, left = None, limit
    while left is None or left > 0:
        page = api.get("/v1/audit", target=target, cursor=cursor, limit=PAGE if left is None else min(PAGE, left))
        yield from page["items"]
        left = None if left is None else left - len(page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _print_json(events: Iterator[dict[str, Any]]) -> None:
    """One object, written as it comes."""
    sys.stdout.write('{"items": [')
    for number, event in enumerate(events):
        sys.stdout.write((",\n" if number else "\n") + orjson.dumps(event).decode())
    sys.stdout.write("\n]}\n")
