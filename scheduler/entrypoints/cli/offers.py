"""`allot statement offer`: what an offer letter says of a package."""

from typing import Annotated, Any

import typer

from scheduler.domain.vesting import PackageKind
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import AsJson, print_fields, print_json, print_text, utc
from scheduler.entrypoints.cli.packages import (
    Amount,
    ByYear,
    Classes,
    Cliff,
    Expires,
    Kind,
    Months,
    Parts,
    Quarterly,
    Start,
    UnitName,
    package_body,
)


def offer(
    amount: Amount,
    *,
    unit: UnitName = "standard",
    kind: Kind = PackageKind.ANNUAL,
    a_year: ByYear = False,
    start: Start = None,
    months: Months = None,
    cliff: Cliff = None,
    quarterly: Quarterly = False,
    parts: Parts = None,
    expires: Expires = None,
    gpu_class: Classes = None,
    tier: Annotated[str | None, typer.Option(help="Whose wait is stated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what an offer letter would: how much, when it vests, what it is worth today, and on leaving. Grants nothing."""
    with connect() as api:
        body = package_body(
            amount,
            unit,
            kind=kind,
            a_year=a_year,
            start=start,
            months=months,
            cliff=cliff,
            quarterly=quarterly,
            parts=parts,
            expires=expires,
            gpu_class=gpu_class,
            clock=api.clock,
        )
        found = api.post("/v1/statement/offer", {**body, "tier": tier})
        if as_json:
            print_json(found)
            return
        print_text(f"{found['total_text']} of compute, {found['kind']}", style="bold")
        print_fields(_fields(found))


def _fields(found: dict[str, Any]) -> list[tuple[str, str]]:
    value = found["value_today"]
    worth = "unknown" if value["value"] is None else f"{value['value']} {value['currency']}"
    first, last = found["parts"][0], found["parts"][-1]
    ahead = {each["gpu_class"]: each for each in found["fullest"]}
    return [
        ("a year", found["a_year_text"] or "–"),
        ("vests", found["schedule"]),
        ("first part", f"{first['text']} on {utc(first['at'])}"),
        ("last part", f"{last['text']} on {utc(last['at'])}"),
        ("time zone", found["time_zone"]),
        ("expires", utc(found["expires_at"]) if found["expires_at"] else "never"),
        *(("terms", term) for term in found["terms"]),
        ("value today", f"{worth}: {value['basis']}"),
        ("p95 wait", _wait(found)),
        *(("coverage", _coverage(each, ahead.get(each["gpu_class"]))) for each in found["coverage"]),
        ("on leaving", found["on_leaving"]),
    ]


def _coverage(found: dict[str, Any], fullest: dict[str, Any] | None) -> str:
    """Of a class in the period that runs, and in the fullest ahead, with what is offered."""
    told = f"{found['gpu_class']} {_ratio(found['ratio_per_mille'])}"
    if fullest is None:
        return told
    return f"{told}; with this, at most, in {fullest['period']}, {_ratio(fullest['ratio_per_mille'])}"


def _ratio(per_mille: int | None) -> str:
    """Outstanding and promised over what is delivered."""
    return "delivers nothing" if per_mille is None else f"promised to {per_mille / 10:.1f} %"


def _wait(found: dict[str, Any]) -> str:
    if found["wait_p95_ms"] is None:
        return f"not known: no start of the tier {found['tier']} to go by" if found["tier"] else "name a --tier"
    return (
        f"{found['wait_p95_ms'] / 60_000:.1f} min over {found['wait_of_starts']} starts of the tier {found['tier']}"
    )
