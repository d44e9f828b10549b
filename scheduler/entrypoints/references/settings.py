"""docs/settings.md, written from the settings: `python -m scheduler.entrypoints.references.settings > docs/settings.md`."""

import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

from pydantic.fields import FieldInfo
from typer.main import get_command

from scheduler.entrypoints.agent.settings import AgentSettings
from scheduler.entrypoints.cli.agent import app as agent_app
from scheduler.entrypoints.cli.server import app as server_app
from scheduler.entrypoints.settings import Settings

_OPENING = """\
# Settings

Written from the settings themselves (`python -m scheduler.entrypoints.references.settings`). What admins decide about
hours, priorities and pools is no setting but [policy](policies.md).

## The service

`allot serve` takes each from its option, else from its variable, else the default. Flags are `true` or `false` in a
variable, lists JSON: `ALLOT_NAMESPACES='["allot", "research"]'`.

| variable | option | default | meaning |
|---|---|---|---|
"""

_AGENT = """
## The agent

`allot agent` refuses a window shorter than a sample, and a watchdog shorter than two.

| variable | option | default | meaning |
|---|---|---|---|
"""

_FIXED = """
Fixed, and told nowhere from outside:

| | | |
|---|---|---|
"""

FIXED_MEANINGS = {
    "first_reading_ms": "The first reading may take so long: without persistence mode a GPU is initialised only then.",
    "batch_windows_max": "Windows in one request.",
    "request_ms": "After so long a request counts as unanswered.",
}

_CLIENT = """
## The command line

| variable | meaning |
|---|---|
"""

CLIENT = {
    "ALLOT_SERVER": "The server to talk to, such as `https://allot.example.com`. It goes before the one that "
    "`allot login` kept.",
    "ALLOT_TOKEN": "The token to show. It goes before the one that `allot login` kept, which is only ever sent to the "
    "server that it was kept for.",
    "ALLOT_DATABASE": "`allot doctor` looks at the database that it names.",
    "KUBECONFIG": "The cluster that `serve` and `doctor` use, and `sandbox connect` through kubectl.",
    "XDG_CONFIG_HOME": "Where `allot/config` lies; `~/.config` where it is not set.",
    "XDG_CACHE_HOME": "Where `allot dev cluster` keeps its programs; `~/.cache` where it is not set.",
    "COLUMNS": "How wide tables may be; 80 where there is no terminal.",
}

_WORKLOADS = """
## What a workload finds

Containers that allot starts itself have these in their environment.

| variable | meaning |
|---|---|
"""

WORKLOAD = {
    "ALLOT_ARRAY_COUNT": "Of an index of an array: how many indexes there are.",
    "ALLOT_ARRAY_INDEX": "Of an index of an array: which it is, from 0.",
    "ALLOT_WORKLOAD": "The workload's id, to say `POST /v1/workloads/ID/checkpoint` with.",
    "ALLOT_SANDBOX_KEY": "A sandbox's key, which its server must ask for.",
    "JUPYTER_TOKEN": "The same key, under the name by which Jupyter asks for it.",
}


def reference() -> str:
    """The whole page."""
    parts = [_OPENING, *_service_rows(), _AGENT, *_agent_rows(), _FIXED, *_fixed_rows()]
    parts += [_CLIENT, *_plain_rows(CLIENT), _WORKLOADS, *_plain_rows(WORKLOAD)]
    return "".join(parts)


def fixed_agent_fields() -> dict[str, object]:
    """The fields of the agent's settings that no option sets, with their defaults."""
    options = {parameter.name for parameter in _parameters(agent_app)}
    return {field.name: field.default for field in fields(AgentSettings) if field.name not in options}


def _service_rows() -> Iterator[str]:
    options = {parameter.name: _option(parameter) for parameter in _parameters(server_app)}
    for name, field in Settings.model_fields.items():
        variable = f"ALLOT_{name.upper()}"
        yield _row(f"`{variable}`", options.get(name, ""), _default(field), field.description or "")


def _agent_rows() -> Iterator[str]:
    for parameter in _parameters(agent_app):
        variable = f"`{parameter.envvar}`" if parameter.envvar else ""
        default = "required" if parameter.required else _shown(parameter.default)
        yield _row(variable, _option(parameter), default, parameter.help or "")


def _fixed_rows() -> Iterator[str]:
    for name, default in fixed_agent_fields().items():
        assert default is not MISSING, "what no option sets has a default"
        yield f"| {name} | {_shown(default)} | {FIXED_MEANINGS[name]} |\n"


def _plain_rows(meanings: dict[str, str]) -> Iterator[str]:
    for name, meaning in meanings.items():
        yield f"| `{name}` | {meaning} |\n"


def _parameters(app: Any) -> list[Any]:
    return [parameter for parameter in get_command(app).params if parameter.name != "help"]


def _option(parameter: Any) -> str:
    return ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])


def _default(field: FieldInfo) -> str:
    return "" if field.default is None else _shown(field.default)


def _shown(value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return f"`{getattr(value, 'value', value)}`"


def _row(variable: str, option: str, default: str, meaning: str) -> str:
    full_stop = "" if meaning.endswith(".") else "."
    return f"| {variable} | {option} | {default} | {meaning}{full_stop} |\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
