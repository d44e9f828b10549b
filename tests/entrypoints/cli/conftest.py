"""The command `allot` against a small company on a loopback port."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scheduler.entrypoints.cli.app import app
from scheduler.entrypoints.running import Service
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
            ("prices", "show"),
        }
        assert not is_for_people or all(len(line) <= WIDTH for line in done.stdout.splitlines()), done.stdout
        return Ran(done.exit_code, done.stdout, done.stderr)

    return run


@dataclass
class Audited:
    """A company on a database of its own, which publishes heads."""

    run: Allot
    folder: Path
    service: Service

    @property
    def database(self) -> str:
        return f"sqlite:///{self.folder}/books.db"

    def offline(self, *arguments: str, database: str | None = None) -> Ran:
        """Without a server: what somebody does who has copies alone."""
        return self.run(
            "audit", *arguments, "--database", database or self.database, ALLOT_SERVER="http://127.0.0.1:9", who=None
        )

    def copied(self) -> str:
        """A copy of the database, as an intruder may change it."""
        books, copy = self.folder / "books.db", self.folder / "copy.db"
        with closing(sqlite3.connect(books)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        if (self.folder / "books.db.heads").exists():
            shutil.copytree(self.folder / "books.db.heads", self.folder / "copy.db.heads")
        return f"sqlite:///{self.folder}/copy.db"


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Audited]:
    service = small_company(database=f"sqlite:///{tmp_path}/books.db")
    with served(service, with_loops=False) as address:
        yield Audited(command_for(address, tmp_path), tmp_path, service)
