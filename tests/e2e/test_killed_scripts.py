"""kill −9 at every crash point of closing, passing on, paying, promising, approving, correcting and rolling over.

Whoever got no answer asks again, in another process: the books are then, row for row, what one life would have made.
"""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from scheduler.adapters.sql.engine import open_engine, parse
from scheduler.domain.errors import Refusal
from tests.adapters.sql.invariants import violations
from tests.e2e.scripts import SCRIPTS, Script, live

ROOT = Path(__file__).parents[2]
BEFORE, AFTER = "before a commit", "after a commit"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deaths") / "books"


@pytest.fixture(scope="module")
def deaths(folder: Path) -> Mapping[str, list[str]]:
    """At which points each script was killed."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.e2e.deaths", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    died: Mapping[str, list[str]] = json.loads(done.stdout)
    return died


@pytest.mark.parametrize("name", SCRIPTS)
def test_killed_at_any_point_and_asked_again_it_is_done_once(
    deaths: Mapping[str, list[str]], folder: Path, name: str
) -> None:
    script = SCRIPTS[name]
    whole = rows(folder / name / "whole.db")
    assert whole != rows(folder / name / "before.db")
    assert deaths[name] == [BEFORE, AFTER] * (len(deaths[name]) // 2)
    for number, point in enumerate(deaths[name]):
        file = folder / name / f"{number}.db"
        is_done = number == len(deaths[name]) - 1
        again(script, file, is_done=is_done)
        assert added(whole, rows(file)) == told(script, is_done=is_done), f"{point}, {number}"
        reconcile(file)


def again(script: Script, file: Path, *, is_done: bool) -> None:
    """Another process is asked."""
    service = live(file)
    try:
        if is_done and script.answered is not None:
            with pytest.raises(Refusal) as refused:
                script.act(service)
            assert refused.value.code is script.answered
        else:
            script.act(service)
        with service.store.reading() as books:
            assert books.journal.differences() == []
    finally:
        service.store.close()


def told(script: Script, *, is_done: bool) -> set[str]:
    """The tables to which asking again adds a row."""
    return {"audit_events"} if is_done and script.is_told_again else set()


def added(whole: Sequence[str], found: Sequence[str]) -> set[str]:
    """The tables that have one row more. Fails where anything of the whole is missing, or a table has two more."""
    assert [line for line in whole if line not in set(found)] == []
    more = sorted(set(found) - set(whole))
    tables = [line.split('"')[1] for line in more]
    assert len(set(tables)) == len(tables)
    assert len(found) == len(whole) + len(more)
    return set(tables)


def reconcile(file: Path) -> None:
    engine = open_engine(parse(f"sqlite:///{file}"), to_write=False)
    with engine.begin() as connection:
        assert violations(connection) == {}
    engine.dispose()


def rows(file: Path) -> list[str]:
    """All that is in a database."""
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())
