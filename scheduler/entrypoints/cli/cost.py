"""`allot cost`: what a period cost the company beside what it recovered, and guarantees that nobody used."""

from typing import Any

import typer

from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import (
    AsJson,
    Column,
    print_fields,
    print_json,
    print_table,
    print_text,
    utc,
)
from scheduler.entrypoints.cli.scopes import Period
from scheduler.entrypoints.web.formatting import DASH, hours, money

app = typer.Typer(add_completion=False)

_GUARANTEES = (
    Column("POOL", width_max=18),
    Column("CLASS", width_max=12),
    Column("GUARANTEED", is_number=True),
    Column("USED", is_number=True),
    Column("LENT", is_number=True),
    Column("IDLE", is_number=True),
    Column("COST", is_number=True),
)


@app.command()
def cost(
    period: Period = None,
    as_json: AsJson = False,
) -> None:
    """Show what a period cost, what of it was recovered, and what guarantees cost that no pool used or lent."""
    with connect() as api:
        found = api.get("/v1/finance/cost", period=period)
        if as_json:
            print_json(found)
            return
        currency, known = found["currency"], ", as far as known" if found["unknown"] else ""
        left = found["unrecovered_micro"]
        print_text(f"Cost of {found['period']}, {currency}", style="bold")
        print_fields(
            (
                *((each["account"], money(each["cost_micro"])) for each in found["costs"]),
                *((each["account"], _told(each)) for each in found["unknown"]),
                (f"actual cost{known}", money(found["actual_micro"])),
                ("recovered", money(found["recovered_micro"])),
                (f"{'not recovered' if left >= 0 else 'recovered beyond it'}{known}", money(abs(left))),
                ("idle guarantees", money(found["idle_guarantees_micro"])),
            )
        )
        if found["guarantees"]:
            print_text("\nGuaranteed capacity, in physical GPU-hours")
        rows = [
            (
                item["pool"] or f"cohort {item['cohort']}",
                item["gpu_class"],
                *(hours(item[name]) for name in ("guaranteed_ms", "used_ms", "lent_ms", "idle_ms")),
                DASH if item["cost_micro"] is None else money(item["cost_micro"]),
            )
            for item in found["guarantees"]
        ]
        print_table(_GUARANTEES, rows, empty="No pool has a guarantee.")


def _told(found: dict[str, Any]) -> str:
    """What of an account has no cost, and since when."""
    return f"not known from {utc(found['since'])} on: {found['what']}"
