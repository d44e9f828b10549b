"""kill −9 at every crash point of closing, passing on, paying, promising, approving, correcting and rolling over.

Whoever got no answer asks again, in another process: the books are then, row for row, what one life would have made.
"""

import ast
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from scheduler.adapters.sql.engine import open_engine, parse
from scheduler.domain.errors import Refusal
from tests.adapters.sql.invariants import violations
from tests.e2e.governing import ALL, KILLED_ELSEWHERE, OPENING, WRITING
from tests.e2e.scripts import Script, live

ROOT = Path(__file__).parents[2]
LIFECYCLE = ROOT / "scheduler" / "lifecycle"
NONE: tuple[set[str], set[str]] = (set(), set())
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


def test_every_script_that_writes_is_killed_somewhere() -> None:
    """Here, or where the table says. A new one has to be put into it."""
    found = {name for path in sorted(LIFECYCLE.rglob("*.py")) for name in writing(path)}
    assert found == set(WRITING) | set(KILLED_ELSEWHERE)
    assert set(WRITING.values()) <= set(ALL)
    for test in KILLED_ELSEWHERE.values():
        assert (ROOT / test).is_file()


def writing(path: Path) -> Iterator[str]:
    """The functions that open a transaction of their own to write."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    room = ".".join(path.relative_to(LIFECYCLE).with_suffix("").parts)
    functions = [(room, each) for each in tree.body]
    functions += [
        (f"{room}.{each.name}", inner) for each in tree.body if isinstance(each, ast.ClassDef) for inner in each.body
    ]
    for inside, each in functions:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name not in OPENING:
            opened = [
                ast.unparse(item.context_expr)
                for node in ast.walk(each)
                if isinstance(node, ast.With)
                for item in node.items
            ]
            if any(text.endswith(".writing()") or "changing(" in text for text in opened):
                yield f"{inside}.{each.name}"


@pytest.mark.parametrize("name", ALL)
def test_killed_at_any_point_and_asked_again_it_is_done_once(
    deaths: Mapping[str, list[str]], folder: Path, name: str
) -> None:
    script = ALL[name]
    whole = rows(folder / name / "whole.db")
    assert whole != rows(folder / name / "before.db")
    assert deaths[name] == [BEFORE, AFTER] * (len(deaths[name]) // 2)
    for number, point in enumerate(deaths[name]):
        file = folder / name / f"{number}.db"
        is_done = number == len(deaths[name]) - 1
        again(script, file, is_done=is_done)
        differing = script.told_again, script.counted_again
        assert differences(whole, rows(file)) == (differing if is_done else NONE), f"{point}, {number}"
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


def differences(whole: Sequence[str], found: Sequence[str]) -> tuple[set[str], set[str]]:
    """The tables that have one row more, and those of which one row is another. Fails where a table has two of either,
    or where a row of the whole is missing."""
    gone, new = (Counter(map(_table, set(some) - set(rest))) for some, rest in ((whole, found), (found, whole)))
    assert set(gone) <= set(new)
    assert set(new.values()) <= {1}
    assert set(gone.values()) <= {1}
    assert len(found) == len(whole) + len(new) - len(gone)
    return set(new) - set(gone), set(gone)


def _table(line: str) -> str:
    return line.split('"')[1]


def reconcile(file: Path) -> None:
    engine = open_engine(parse(f"sqlite:///{file}"), to_write=False)
    with engine.begin() as connection:
        assert violations(connection) == {}
    engine.dispose()


def rows(file: Path) -> list[str]:
    """All that is in a database."""
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())
