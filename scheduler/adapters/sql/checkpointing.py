"""SQLite's write-ahead log is copied into the database beside the commits, instead of by whichever commit made it long.

By itself SQLite does that inside a commit, once the log has a thousand pages: under load that is every seventieth, it
takes several times as long as any other, and everybody who waits to write waits for it. What is copied here, a passive
checkpoint, blocks nobody. SQLite's own stays as it is, at a longer log (`LOG_PAGES_MAX`): then little is left for it to
copy, and the log begins anew.
"""

import sqlite3
from contextlib import closing, suppress
from threading import Event, Thread

from sqlalchemy import URL

LOG_PAGES_MAX = 8_192
"""32 MiB of pages of 4 KiB."""

COMMITS_BETWEEN = 64
REST_SECONDS = 0.1
"""Between two copies at least: each waits for the disk twice, and commits wait for the same disk."""


class Checkpoints:
    """Copies the log whenever some commits were noted. Its thread starts with the first copy and ends with `close`."""

    def __init__(self, address: URL) -> None:
        self._address = address
        self._commits = 0
        self._is_due = Event()
        self._is_over = Event()
        self._thread: Thread | None = None

    def note_commit(self) -> None:
        """Called by the one who has the turn to write."""
        self._commits += 1
        if self._commits % COMMITS_BETWEEN:
            return
        if self._thread is None:
            self._thread = Thread(target=self._copy_whenever_due, name="checkpoints", daemon=True)
            self._thread.start()
        self._is_due.set()

    def close(self) -> None:
        """Wait for the copy that is under way."""
        self._is_over.set()
        self._is_due.set()
        if self._thread is not None:
            self._thread.join()

    def _copy_whenever_due(self) -> None:
        assert self._address.database is not None, "a log is a file beside a file"
        is_uri = self._address.database.startswith("file:")
        with closing(sqlite3.connect(self._address.database, isolation_level=None, uri=is_uri)) as connection:
            connection.execute(
                "PRAGMA synchronous = FULL"
            )  # the log is on the disk before what it says is in the file
            while self._is_due.wait():
                # Cleared before the end is looked for: `close` sets both, and what it set last must not be lost.
                self._is_due.clear()
                if self._is_over.is_set():
                    return
                with suppress(sqlite3.OperationalError):  # locked or full: SQLite's own copies it, or the next does
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                self._is_over.wait(REST_SECONDS)
