"""`allot payment`: what a person paid for their own compute."""

from typing import Annotated, Any

import typer

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.quantities import is_money, unit_label, unit_named
from scheduler.entrypoints.cli.approvals import print_waiting, waits
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.instants import BACK, DAY, parse_day
from scheduler.entrypoints.cli.output import AsJson, moment, print_json, print_text
from scheduler.entrypoints.cli.packages import parse_quantity
from scheduler.entrypoints.cli.workloads import new_key

app = typer.Typer(add_completion=False)


@app.command()
def payment(
    owner: Annotated[str, typer.Argument(help="Who paid: an engineer.", show_default=False)],
    amount: Annotated[str, typer.Argument(help="How much, such as 120.00.", show_default=False)],
    currency: Annotated[str, typer.Option(help="The price book's currency.")] = "EUR",
    on: Annotated[
        str | None,
        typer.Option(help=f"The day in the policy's time zone, or the instant: {BACK}. Now where it is left out."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", "-r", help="What it was: a payroll deduction, say.")] = "",
    *,
    is_paid_back: Annotated[bool, typer.Option("--paid-back", help="It went back to them.")] = False,
    key: Annotated[str | None, typer.Option(help="The same key again records it once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Record what a person paid for their own compute; their fringe-benefit statement takes it off."""
    unit = unit_named(currency)
    if not is_money(unit):
        raise InvalidInput(
            f"{currency} is no currency",
            where="--currency",
            code=RefusalCode.UNKNOWN_CURRENCY,
            expected="such as EUR or USD",
        )
    micro = parse_quantity(amount, unit)
    with connect() as api:
        paid = parse_day(on, "--on", api.clock)
        body = {
            "owner": owner,
            "micro": -micro if is_paid_back else micro,
            "currency": unit_label(unit),
            ("paid_at" if paid is None or not DAY.fullmatch(paid) else "paid_on"): paid,
            "reason": reason or "payment",
        }
        found: dict[str, Any] = api.post("/v1/finance/payments", body, key or new_key())
        if as_json:
            print_json(found)
        elif waits(found):
            print_waiting(found)
        else:
            print_text(
                f"Recorded {amount} {currency} of {owner} on {moment(found['paid_at'])[:10]}: {found['payment']}."
            )
