"""The command `allot`: what there is, imported when it is asked for, and refusals told in one way."""

import errno
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from scheduler.domain.errors import Refusal
from scheduler.entrypoints.about import installed_version
from scheduler.entrypoints.cli.exits import MEANINGS, ExitCode, report
from scheduler.entrypoints.cli.usage import AS_TYPED, refusing_wrong_usage, with_plain_numbers


@dataclass(frozen=True, slots=True)
class Part:
    """Where a command lives: a module, and the Typer in it. `is_group` where it is a group of commands itself.

    `summary` is what its help begins with: said here, so that the help of `allot` need not import everything; where it is
    left out, the module is imported for it.
    """

    module: str
    panel: str
    summary: str = ""
    is_group: bool = False
    attribute: str = "app"


_WORK, _HOURS, _PLATFORM, _AUDIT, _SERVICE = "Work", "Hours", "Platform", "Audit", "Service"

PARTS: dict[str, Part] = {
    "submit": Part(
        "workloads", _WORK, "Submit a job: pods × GPUs of one of the GPU classes, for a time, and a command to run."
    ),
    "quote": Part(
        "quoting",
        _WORK,
        "Ask what would become of a job: would it run now, what does it cost, when else, and what would be sooner.",
    ),
    "book": Part(
        "bookings",
        _WORK,
        "Book GPUs for a window. Its hours are held at once and charged from its start, used or not.",
    ),
    "booking": Part("bookings", _WORK, "List, show and cancel bookings.", is_group=True, attribute="booking_app"),
    "sandbox": Part("sandbox", _WORK, "Interactive work with an address, and a home that stays.", is_group=True),
    "list": Part("workloads", _WORK, "List workloads, newest first, each with why it is where it is."),
    "show": Part("workloads", _WORK, "Show a workload with its verdict."),
    "explain": Part(
        "workloads",
        _WORK,
        "Say why: the factors of its order, who pays, its verdicts as they fell, its attempts and their charges.",
    ),
    "cancel": Part(
        "workloads",
        _WORK,
        "End workloads, or what is left of arrays, for good. What runs gets its grace; hours that were held and not "
        "used come back.",
    ),
    "extend": Part(
        "workloads", _WORK, "Let a workload run longer. It needs the hours for it, and keeps to the maxima."
    ),
    "keep": Part("keeping", _WORK, "Keep a workload though its GPUs rest: idle reclaim leaves it alone until then."),
    "balance": Part(
        "money", _HOURS, "Show what is left, held and charged in every unit, and when it runs out at this pace."
    ),
    "statement": Part(
        "statements",
        _HOURS,
        "Show a period's statement: opening, every grant, charge, refund and expiry, closing, and what it costs.",
        is_group=True,
    ),
    "grant": Part(
        "grants", _HOURS, "Grant hours, tokens or money; or promise compensation that vests.", is_group=True
    ),
    "vesting": Part("vesting", _HOURS, "Compensation that vests.", is_group=True),
    "allowance": Part("allowances", _HOURS, "Freeze an allowance, or pass hours of it on.", is_group=True),
    "request": Part("requests", _HOURS, "Ask for more hours, a later end, or another GPU class.", is_group=True),
    "approvals": Part("approvals", _HOURS, "What waits for a second person.", is_group=True),
    "coverage": Part(
        "coverage",
        _HOURS,
        "Show what is outstanding and promised on each GPU class, over the hours that its GPUs deliver.",
    ),
    "cost": Part("cost", _HOURS),
    "burn": Part(
        "insight",
        _HOURS,
        "Show what goes a day in every unit, money and energy, when it runs out at this pace, and days that jumped.",
    ),
    "fairness": Part(
        "insight", _HOURS, "Show how evenly use is spread over people, by tier and team, month by month."
    ),
    "leaderboard": Part("leaderboard", _HOURS, "Who uses GPUs well, of those who joined.", is_group=True),
    "efficiency": Part(
        "efficiency",
        _HOURS,
        "Show how well GPUs were used: the mean and of what, idle share, energy, memory, and what is advised.",
    ),
    "payment": Part(
        "payments",
        _HOURS,
        "Record what a person paid for their own compute; their fringe-benefit statement takes it off.",
    ),
    "prices": Part("prices", _HOURS, "What GPU-hours and electricity cost.", is_group=True),
    "export": Part("exports", _HOURS, "Files for others.", is_group=True),
    "nodes": Part(
        "cluster", _PLATFORM, "List the nodes with their GPUs: how many are free, taken, or outside of our hands."
    ),
    "top": Part("cluster", _PLATFORM, "Watch every GPU, the queue and the brakes until Ctrl-C."),
    "gpu": Part(
        "gpu", _PLATFORM, "See what agents send and what is idle; try idle rules on recordings.", is_group=True
    ),
    "queue": Part(
        "cluster", _PLATFORM, "Show what waits, in the order in which it will be tried, and why each still waits."
    ),
    "pause": Part(
        "cluster", _PLATFORM, "Stop launching, preempting or reclaiming, within a second, until `allot resume`."
    ),
    "resume": Part(
        "cluster",
        _PLATFORM,
        "Go on launching, preempting or reclaiming, and let a loop that reached its stop rate go on.",
    ),
    "policy": Part("policy", _PLATFORM, "Check, compare and apply policy files.", is_group=True),
    "people": Part("people", _PLATFORM, "Engineers, their teams, tiers and roles.", is_group=True),
    "simulate": Part(
        "simulate",
        _PLATFORM,
        "Try placements and policies in virtual time, on traces. Nothing of it is real.",
        is_group=True,
    ),
    "period": Part(
        "periods", _AUDIT, "Close periods of the books, and settle what does not agree in them.", is_group=True
    ),
    "reconcile": Part(
        "reconcile",
        _AUDIT,
        "Show what was charged, what pods held and what devices saw in a period, and every difference with its class.",
    ),
    "audit": Part("audit", _AUDIT, "Prove that nothing was altered, and who did what.", is_group=True),
    "login": Part(
        "access",
        _SERVICE,
        "Ask for a token, see that the server takes it, and keep both for the next command (mode 0600).",
    ),
    "whoami": Part("access", _SERVICE, "Say who the server takes you for."),
    "token": Part(
        "access", _SERVICE, "Tokens for people, programs and agents.", is_group=True, attribute="token_app"
    ),
    "serve": Part(
        "server",
        _SERVICE,
        "Run the service: the loops, the API and the pages, until Ctrl-C. Every option has an ALLOT_… variable, too.",
    ),
    "agent": Part(
        "agent",
        _SERVICE,
        "Read this node's GPUs through NVML, and post windows and the inventory to the API until stopped.",
    ),
    "doctor": Part(
        "doctor",
        _SERVICE,
        "Check versions, clock, server, token, database, policies, rights and sensors, and say what to do.",
    ),
    "dev": Part("dev", _SERVICE, "For developing and trying allot.", is_group=True),
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

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """From the summaries alone: all modules together take three seconds to import."""
        listed = TyperGroup(
            name=self.name,
            help=self.help,
            epilog=self.epilog,
            params=self.params,
            rich_markup_mode=self.rich_markup_mode,
            commands={name: self._listed(ctx, name, part) for name, part in PARTS.items()},
        )
        listed.format_help(ctx, formatter)

    def _listed(self, ctx: Any, name: str, part: Part) -> Any:
        if not part.summary:
            return self.get_command(ctx, name)
        return TyperCommand(name, help=part.summary, rich_help_panel=part.panel)

    def make_context(self, *given: Any, **extra: Any) -> Any:
        """Read the options of `allot` itself."""
        words = tuple(given[1])
        with _reporting():
            context = super().make_context(*given, **extra)
            context.meta[AS_TYPED] = words
            return context

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _reporting():
            return super().invoke(ctx)


@contextmanager
def _reporting() -> Iterator[None]:
    """A refusal, of wrong usage too, is one message on standard error and an exit code that says its kind."""
    try:
        with refusing_wrong_usage():
            yield
    except Refusal as refusal:
        raise typer.Exit(report(refusal)) from refusal


def _load(name: str, part: Part) -> Any:
    with _uncollected():
        module = import_module(f"scheduler.entrypoints.cli.{part.module}")
    found = with_plain_numbers(get_command(getattr(module, part.attribute)))
    if part.is_group:
        found.name = name
        return found
    commands = getattr(found, "commands", None)
    command = found if commands is None else commands[name]
    command.name = name
    return command


@contextmanager
def _uncollected() -> Iterator[None]:
    """What an import makes stays: a garbage collector that looks through it again and again is a seventh of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"allot {installed_version()}")
        raise typer.Exit


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
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
    """The console script. What cannot be written because a disk is full is told in one line, as a refusal is."""
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:  # as it is where a shell has closed it
                sys.stdout.flush()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # what is left of it goes nowhere, without a word
        sys.stderr.write(f"allot: standard output cannot be written: {error.strerror}\n")
        sys.exit(ExitCode.REFUSED)
