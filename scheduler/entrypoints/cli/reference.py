"""docs/cli.md, written from the commands themselves: `python -m scheduler.entrypoints.cli.reference > docs/cli.md`."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from scheduler.entrypoints.cli.app import app
from scheduler.entrypoints.cli.exits import MEANINGS

_OPENING = """\
# The command line

Written from the commands themselves (`python -m scheduler.entrypoints.cli.reference`).

`allot` talks to a server: the one that ALLOT_SERVER names, else the one in `~/.config/allot/config` (written by
`allot login`), else `http://127.0.0.1:8410`. ALLOT_TOKEN goes before the token of that file. Durations are `30m`, `8h`,
`1h30m`, `2d`; whole numbers only. Times in tables are UTC and come from the server's clock, which is simulated where its
cluster is; a line on standard error says so. With `--json` standard output has one JSON value and nothing else.
`allot --install-completion` sets up the shell's completion. HTTPS_PROXY and NO_PROXY are heeded; a server's certificate is
checked against the system's authorities, or those in the file that SSL_CERT_FILE names.

## Exit codes

| code | meaning |
|---|---|
"""

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def reference() -> str:
    """The whole page."""
    codes = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANINGS.items())
    root = get_command(app)
    context = typer.Context(root, info_name="allot")
    sections = [section for name, command in _commands(root, context) for section in _section(name, command)]
    return _OPENING + codes + "\n" + "\n".join(sections)


def _commands(group: Any, context: Any, prefix: str = "allot") -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        full = f"{prefix} {name}"
        if hasattr(command, "list_commands"):
            if command.invoke_without_command:
                yield full, command
            yield from _commands(command, typer.Context(command, info_name=name, parent=context), full)
        else:
            yield full, command


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}\n"
    yield _paragraphs(command.help or "")
    parameters = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    rows = [row for parameter in parameters if (row := _row(parameter)) is not None]
    if rows:
        yield "| | | |\n|---|---|---|"
        yield "\n".join(rows) + "\n"


def _row(parameter: Any) -> str | None:
    """Its names, its default or that it is required, and its help; None for what every command has."""
    if parameter.name == "help":
        return None
    is_argument = parameter.param_type_name == "argument"
    names = (
        [parameter.metavar or parameter.name.upper()] if is_argument else [*parameter.opts, *parameter.secondary_opts]
    )
    shown = ", ".join(f"`{name}`" for name in names)
    return f"| {shown} | {_default(parameter)} | {_cell(getattr(parameter, 'help', None) or '')} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    if default is None or default is False or callable(default):
        return ""
    if default is True:
        return "yes"
    return f"`{getattr(default, 'value', default)}`"


def _paragraphs(text: str) -> str:
    return "\n".join(line.strip() for line in _ESCAPES.sub("", text).strip().splitlines()) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
