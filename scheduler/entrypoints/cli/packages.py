"""A package of compensation as it is typed: an amount in its unit, and when it vests."""

from typing import Annotated, Any

import typer

from scheduler.domain.digits import whole_number_in
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.money import micro_of
from scheduler.domain.quantities import UnitKind, measure, unit_named, whole
from scheduler.domain.units import AMOUNT_MAX, Unit
from scheduler.domain.vesting import PackageKind
from scheduler.entrypoints.cli.durations import parse_hours
from scheduler.entrypoints.cli.instants import DAYS, Clock, parse_instant

Amount = Annotated[str, typer.Argument(help="2000h, or 1000000 of tokens, or 90000.00 of money: see --unit.")]
UnitName = Annotated[str, typer.Option("--unit", help="standard, gpu/CLASS, tokens, tokens/MODEL, or a currency.")]
Kind = Annotated[PackageKind, typer.Option(help="What an offer letter calls it.")]
ByYear = Annotated[bool, typer.Option("--a-year", help="AMOUNT is a year's, and not all of it.")]
Start = Annotated[str | None, typer.Option(help=f"From when it vests: {DAYS}. Now where left out.")]
Months = Annotated[
    int | None,
    typer.Option(min=0, max=240, help="How long it vests; 0 is all at once. 48 where left out.", show_default=False),
]
Cliff = Annotated[
    int | None,
    typer.Option(
        min=0, max=240, help="Months before which nothing vests; 12 where left out, or --months.", show_default=False
    ),
]
Quarterly = Annotated[bool, typer.Option("--quarterly", help="Every three months instead of every month.")]
Parts = Annotated[str | None, typer.Option(help="The schedule itself: 2027-01-01T00:00:00Z=500h,… commas between.")]
Expires = Annotated[str | None, typer.Option(help=f"After the last part vests: {DAYS}.")]
Classes = Annotated[str | None, typer.Option("--gpu-class", help="Only for these, commas between.")]

MONTHS = 48
CLIFF_MONTHS = 12
"""Where none is named; a shorter package then vests at its end."""


def package_body(
    amount: str,
    unit: str,
    *,
    kind: PackageKind,
    a_year: bool,
    start: str | None,
    months: int | None,
    cliff: int | None,
    quarterly: bool,
    parts: str | None,
    expires: str | None,
    gpu_class: str | None,
    clock: Clock,
) -> dict[str, Any]:
    """The terms as the API reads them. Raises InvalidInput."""
    counted = unit_named(unit)
    schedule: dict[str, Any]
    if parts is None:
        lasts = MONTHS if months is None else months
        stays = min(CLIFF_MONTHS, lasts) if cliff is None else cliff
        schedule = {"months": lasts, "cliff_months": stays, "every_months": 3 if quarterly else 1}
    elif months is not None or cliff is not None or quarterly or a_year:
        raise InvalidInput(
            "the parts are the whole schedule",
            where="--parts",
            code=RefusalCode.INVALID_SCHEDULE,
            expected="it without --months, --cliff, --quarterly and --a-year",
        )
    else:
        schedule = {"parts": [_part(text, counted, clock) for text in parts.split(",")]}
    return schedule | {
        "quantity": parse_quantity(amount, counted),
        "unit": unit,
        "kind": kind.value,
        "is_annual": a_year,
        "starts_at": parse_instant(start, "--start", clock),
        "expires_at": parse_instant(expires, "--expires", clock),
        "gpu_classes": [name.strip() for name in gpu_class.split(",")] if gpu_class else None,
    }


def parse_quantity(text: str, unit: Unit, where: str = "AMOUNT") -> int:
    """An amount in the unit's smallest part. Refuses with `invalid-amount`."""
    kind = measure(unit).kind
    if kind in {UnitKind.STANDARD, UnitKind.GPU_CLASS}:
        return parse_hours(text, where)
    plain = text.strip()
    found = micro_of(plain) if kind is UnitKind.MONEY else whole_number_in(plain)
    if found is None or not 0 < found < AMOUNT_MAX:
        expected = "a whole number above zero"
        if kind is UnitKind.MONEY:
            expected = "an amount above zero with at most six decimals, such as 2500.00"
        expected += f", below {AMOUNT_MAX // whole(unit)}"
        raise InvalidInput(
            f"{text[:40]!r} is no amount", where=where, code=RefusalCode.INVALID_AMOUNT, expected=expected
        )
    return found


def _part(text: str, unit: Unit, clock: Clock) -> dict[str, Any]:
    at, equals, amount = text.strip().partition("=")
    if not equals:
        raise InvalidInput(
            f"{text[:40]!r} is no part of a schedule",
            where="--parts",
            code=RefusalCode.INVALID_SCHEDULE,
            expected="INSTANT=AMOUNT",
        )
    return {"at": parse_instant(at, "--parts", clock), "quantity": parse_quantity(amount, unit, "--parts")}
