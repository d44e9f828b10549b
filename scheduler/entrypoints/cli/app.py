"""The command `allot`: what there is, imported when it is asked for, and refusals told in one way."""

from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from scheduler.domain.errors import Refusal
from scheduler.entrypoints.about import installed_version
from scheduler.entrypoints.cli.exits import MEANINGS, report


@dataclass(frozen=True, slots=True)
class Part:
    """Where a command lives: a module, and the Typer in it. `is_group` where it is a group of commands itself."""

    module: str
    panel: str
    is_group: bool = False
    attribute: str = "app"


_WORK, _HOURS, _PLATFORM, _AUDIT, _SERVICE = "Work", "Hours", "Platform", "Audit", "Service"

PARTS: dict[str, Part] = {
    "submit": Part("workloads", _WORK),
    "quote": Part("quoting", _WORK),
    "book": Part("bookings", _WORK),
    "booking": Part("bookings", _WORK, is_group=True, attribute="booking_app"),
    "sandbox": Part("sandbox", _WORK, is_group=True),
    "list": Part("workloads", _WORK),
    "show": Part("workloads", _WORK),
    "explain": Part("workloads", _WORK),
    "cancel": Part("workloads", _WORK),
    "extend": Part("workloads", _WORK),
    "keep": Part("keeping", _WORK),
    "balance": Part("money", _HOURS),
    "statement": Part("statements", _HOURS, is_group=True),
    "grant": Part("grants", _HOURS, is_group=True),
    "vesting": Part("vesting", _HOURS, is_group=True),
    "allowance": Part("allowances", _HOURS, is_group=True),
    "request": Part("requests", _HOURS, is_group=True),
    "approvals": Part("approvals", _HOURS, is_group=True),
    "coverage": Part("coverage", _HOURS),
    "cost": Part("cost", _HOURS),
    "burn": Part("insight", _HOURS),
    "fairness": Part("insight", _HOURS),
    "efficiency": Part("efficiency", _HOURS),
    "prices": Part("prices", _HOURS, is_group=True),
    "export": Part("exports", _HOURS, is_group=True),
    "nodes": Part("cluster", _PLATFORM),
    "top": Part("cluster", _PLATFORM),
    "gpu": Part("gpu", _PLATFORM, is_group=True),
    "queue": Part("cluster", _PLATFORM),
    "pause": Part("cluster", _PLATFORM),
    "resume": Part("cluster", _PLATFORM),
    "policy": Part("policy", _PLATFORM, is_group=True),
    "people": Part("people", _PLATFORM, is_group=True),
    "simulate": Part("simulate", _PLATFORM, is_group=True),
    "period": Part("periods", _AUDIT, is_group=True),
    "reconcile": Part("reconcile", _AUDIT),
    "audit": Part("audit", _AUDIT, is_group=True),
    "login": Part("access", _SERVICE),
    "whoami": Part("access", _SERVICE),
    "token": Part("access", _SERVICE, is_group=True, attribute="token_app"),
    "serve": Part("server", _SERVICE),
    "agent": Part("agent", _SERVICE),
    "doctor": Part("doctor", _SERVICE),
    "dev": Part("dev", _SERVICE, is_group=True),
}


class Allot(TyperGroup):
    """Imports a command's module only when it is asked for: the service's libraries cost the others a second."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(PARTS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        part = PARTS.get(cmd_name)
        if part is None:
            return None
        command = _load(cmd_name, part)
        command.rich_help_panel = part.panel
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a refusal is one message on standard error and an exit code that says its kind."""
        try:
            return super().invoke(ctx)
        except Refusal as refusal:
            raise typer.Exit(report(refusal)) from refusal


def _load(name: str, part: Part) -> Any:
    found = get_command(getattr(import_module(f"scheduler.entrypoints.cli.{part.module}"), part.attribute))
    if part.is_group:
        found.name = name
        return found
    commands = getattr(found, "commands", None)
    command = found if commands is None else commands[name]
    command.name = name
    return command


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"allot {installed_version()}")
        raise typer.Exit


_EXITS = " · ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items())

app = typer.Typer(
    cls=Allot,
    name="allot",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=f"Exit codes: {_EXITS}.",
)


@app.callback(help="GPU-hours as real as pay: submit work, see why it runs or waits, and what it costs.")
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of `allot` itself."""


def main() -> None:
    """The console script."""
    app()
