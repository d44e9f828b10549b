"""The command `allot` against a small company on a loopback port."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scheduler.entrypoints.cli.app import app
from scheduler.entrypoints.service import Service
from tests.entrypoints.company import small_company, token_of
from tests.entrypoints.serving import served

WIDTH = 80


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said where."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Allot = Callable[..., Ran]


@pytest.fixture
def service() -> Service:
    return small_company()


@pytest.fixture
def server(service: Service) -> Iterator[str]:
    with served(service, with_loops=False) as address:
        yield address


@pytest.fixture
def allot(server: str, tmp_path: Path) -> Allot:
    """Run `allot` as somebody: `allot("list", "--json", who="ada")`."""
    return command_for(server, tmp_path)


def command_for(server: str, home: Path) -> Allot:
    def run(*arguments: str, who: str | None = "ada", text: str | None = None, **env: str) -> Ran:
        settings = {
            "ALLOT_SERVER": server,
            "ALLOT_TOKEN": token_of(who) if who else "",
            "XDG_CONFIG_HOME": str(home),
            "COLUMNS": str(WIDTH),
            "NO_COLOR": "1",
            **env,
        }
        done = CliRunner().invoke(app, list(arguments), env=settings, input=text, prog_name="allot")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        is_for_people = not {"--json", "--csv"} & set(arguments) and arguments[:2] not in {
            ("policy", "show"),
            ("policy", "keys"),
        }
        assert not is_for_people or all(len(line) <= WIDTH for line in done.stdout.splitlines()), done.stdout
        return Ran(done.exit_code, done.stdout, done.stderr)

    return run
