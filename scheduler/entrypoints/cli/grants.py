"""`allot grant`: hours by a person's decision; `allot grant compensation`: a package that vests."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from scheduler.domain.errors import Refusal
from scheduler.domain.periods import iso
from scheduler.domain.quantities import UnitKind, measure, unit_named
from scheduler.domain.units import Instant
from scheduler.domain.vesting import PackageKind
from scheduler.entrypoints.cli.approvals import fullness, print_waiting, waits
from scheduler.entrypoints.cli.client import Api, connect
from scheduler.entrypoints.cli.durations import parse_duration
from scheduler.entrypoints.cli.instants import DAYS, parse_instant
from scheduler.entrypoints.cli.output import (
    AsJson,
    instant_of,
    print_json,
    print_text,
    utc,
)
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
    parse_quantity,
)
from scheduler.entrypoints.cli.vesting import print_package
from scheduler.entrypoints.cli.workloads import Key, new_key
from scheduler.entrypoints.web.formatting import in_percent

_DEFAULT = "adhoc"


class _GrantsByDefault(TyperGroup):
    """`allot grant HOLDER HOURS` is `allot grant adhoc HOLDER HOURS`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "--help"}:
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_GrantsByDefault,
    help="Grant hours, tokens or money; or promise compensation that vests.",
    no_args_is_help=True,
    add_completion=False,
)


@app.command(_DEFAULT)
def adhoc(
    holder: Annotated[str, typer.Argument(help="An engineer's id or subject; with --team or --project its name.")],
    amount: Amount,
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it stands on the statement.")],
    unit: UnitName = "standard",
    team: Annotated[bool, typer.Option("--team", help="HOLDER is a team.")] = False,
    project: Annotated[bool, typer.Option("--project", help="HOLDER is a project.")] = False,
    compensation: Annotated[bool, typer.Option(help="It is pay: personal work first.")] = False,
    expires: Annotated[str | None, typer.Option(help=f"{DAYS}.")] = None,
    lasts: Annotated[str | None, typer.Option(help="Instead: how long from now, such as 30d.")] = None,
    gpu_class: Annotated[str | None, typer.Option("--gpu-class", help="Only for these, commas between.")] = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Grant hours, tokens or money. Finance and operators grant ad hoc, people operations grant compensation."""
    if team and project:
        raise typer.BadParameter("a holder is either a team or a project")
    if expires is not None and lasts is not None:
        raise typer.BadParameter("a grant ends by --expires or by --lasts, not by both")
    body: dict[str, Any] = {
        "holder_kind": "team" if team else "project" if project else "engineer",
        "holder": holder,
        "quantity": parse_quantity(amount, unit_named(unit)),
        "unit": unit,
        "reason": reason,
        "source": "compensation" if compensation else "ad-hoc",
        "gpu_classes": [name.strip() for name in gpu_class.split(",")] if gpu_class else None,
    }
    with connect() as api:
        if lasts is not None:
            api.get("/v1/me")
            expires = after(api.now, parse_duration(lasts, "--lasts"))
        body["expires_at"] = parse_instant(expires, "--expires", api.clock)
        found = api.post("/v1/grants", body, key or new_key())
        if as_json:
            print_json(found)
        elif waits(found):
            print_waiting(found)
        else:
            until = f", until {utc(found['expires_at'])}" if found["expires_at"] else ""
            print_text(f"Granted {found['shown']} to {holder} as {found['id']}{until}.")
            _print_coverage(api, unit, body["gpu_classes"])


@app.command()
def compensation(
    holder: Annotated[str, typer.Argument(help="An engineer's id or subject.")],
    amount: Amount,
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it stands on the statement.")],
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
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Promise a package of pay that vests: for the role people. Nobody promises it to themselves."""
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
        found = api.post("/v1/grants/compensation", {**body, "holder": holder, "reason": reason}, key or new_key())
        if as_json:
            print_json(found)
        elif waits(found):
            print_waiting(found)
        else:
            print_package(found)
            _print_coverage(api, unit, body["gpu_classes"])


def _print_coverage(api: Api, unit: str, gpu_classes: Sequence[str] | None) -> None:
    """What is promised now of the class that is promised most of, of those that the hours may be spent on."""
    counted = measure(unit_named(unit))
    if counted.kind not in {UnitKind.STANDARD, UnitKind.GPU_CLASS}:
        return
    classes = gpu_classes or ([counted.of] if counted.of else None)
    fullest: list[dict[str, Any]] = []
    with suppress(Refusal):  # it is granted, whatever can be read of it now
        fullest = api.get("/v1/coverage")["fullest"]
    found = [each for each in fullest if classes is None or each["gpu_class"] in classes]
    if found:
        most = max(found, key=fullness)
        ratio = in_percent(most["ratio_per_mille"])
        print_text(f"With it, most is promised of {most['gpu_class']}: {ratio} in {most['period']}.")


def after(now: str, milliseconds: int) -> str:
    """The instant so long after the server's now, as the API reads it."""
    return iso(Instant((instant_of(now) or 0) + milliseconds))
