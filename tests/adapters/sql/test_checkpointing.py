"""The log of SQLite is copied into the database beside the commits, and SQLite's own copy comes seldom."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event

from sqlalchemy import make_url, text

from scheduler.adapters.sql.checkpointing import COMMITS_BETWEEN, LOG_PAGES_MAX, Checkpoints
from scheduler.adapters.sql.store import open_store
from tests.plugins.migrated import put_migrated
from tests.plugins.polling import eventually


async def test_what_was_committed_comes_into_the_database_without_any_commit_copying_it(tmp_path: Path) -> None:
    file, copy = tmp_path / "allot.db", tmp_path / "copy.db"
    put_migrated(file)
    store = open_store(f"sqlite:///{file}")

    async def last_setting() -> str | None:
        shutil.copy(file, copy)  # the database alone: what only its log has is not in it
        with closing(sqlite3.connect(copy)) as connection:
            try:
                row = connection.execute("SELECT value FROM settings WHERE key = 'number'").fetchone()
            except sqlite3.DatabaseError:  # copied while it was written to
                row = None
        return None if row is None else str(row[0])

    for number in range(COMMITS_BETWEEN):
        assert await last_setting() is None
        with store.writing() as books:
            books.control.put_setting("number", str(number))
    assert await eventually(last_setting, lambda seen: seen is not None) == str(COMMITS_BETWEEN - 1)
    store.close()


def test_a_commit_copies_the_log_only_where_that_has_grown_long(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/allot.db")
    with store._write() as connection:
        pages = connection.execute(text("PRAGMA wal_autocheckpoint")).scalar_one()
    store.close()
    assert pages == LOG_PAGES_MAX


def test_closing_leaves_no_log_behind(tmp_path: Path) -> None:
    put_migrated(tmp_path / "allot.db")
    store = open_store(f"sqlite:///{tmp_path}/allot.db")
    for number in range(2 * COMMITS_BETWEEN):
        with store.writing() as books:
            books.control.put_setting("number", str(number))
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["allot.db"]


class _ClosedMeanwhile(Event):
    """Somebody closes in the moment between the look at whether it is over and the clearing of what is due."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        super().__init__()
        self._checkpoints = checkpoints

    def clear(self) -> None:
        self._checkpoints._is_over.set()
        self.set()
        super().clear()


def test_closing_is_noticed_even_in_the_moment_in_which_a_copy_begins(tmp_path: Path) -> None:
    checkpoints = Checkpoints(make_url(f"sqlite:///{tmp_path}/allot.db"))
    checkpoints._is_due = _ClosedMeanwhile(checkpoints)
    for _ in range(COMMITS_BETWEEN):
        checkpoints.note_commit()
    copying = checkpoints._thread
    assert copying is not None

    copying.join(timeout=60)

    assert not copying.is_alive(), "it waits for another commit, and `close` for it, for ever"
