"""Windows on disk until the API has taken them: a SQLite file of the agent's own.

A window and the mark that says where its device's windows ended are written in one transaction, so that an agent
that dies at any point goes on without a gap or a duplicate. The spool is bounded: the oldest go first, and are
counted.
"""

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import orjson

from scheduler.domain.units import GpuUuid, Instant
from scheduler.metering.integration import Mark
from scheduler.metering.windows import Window
from scheduler.metering.wire import window_json

logger = logging.getLogger("allot.agent")

PAGES_MAX = 131_072
"""Of 4 KiB: a node's disk is not ours to fill, whatever the bound on windows says."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS window (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    boot_id TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS mark (
    gpu_uuid TEXT PRIMARY KEY,
    boot_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    energy_millijoules INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT;
INSERT OR IGNORE INTO tally VALUES ('lost', 0), ('refused', 0);
"""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A window in its JSON form, waiting."""

    id: int
    body: bytes


@dataclass(frozen=True, slots=True)
class SpoolCounts:
    """`lost`: dropped as the oldest of a full spool, or never written. `refused`: the API would not have them."""

    waiting: int
    lost: int
    refused: int


class WindowSpool:
    """For one process at a time. Raises sqlite3.OperationalError where another holds it, or it cannot be opened."""

    def __init__(self, path: Path, windows_max: int, *, wait_seconds: float = 5, pages_max: int = PAGES_MAX) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._windows_max = windows_max
        self._unwritten = 0
        self._answered_until = 0
        """The last window that the API has answered for; those up to it that are still here are to be deleted."""
        self._refused_unwritten = 0
        try:
            self._db = _open(path, wait_seconds, pages_max)
        except sqlite3.OperationalError:
            # Locked by another agent, or not to be opened at all: nothing is wrong with what is in it.
            raise
        except sqlite3.DatabaseError:
            # Not a database, or a broken one: kept for whoever wants to know why, and never in the way.
            path.replace(path.with_name(path.name + ".broken"))
            for extra in ("-wal", "-shm"):
                path.with_name(path.name + extra).unlink(missing_ok=True)
            self._db = _open(path, wait_seconds, pages_max)
        self._waiting = int(self._db.execute("SELECT count(*) FROM window").fetchone()[0])

    def append(self, windows: Sequence[Window], marks: Sequence[Mark], boot_id: str) -> None:
        """Keep the windows, in order. Where the disk will not have them they are lost, and counted."""
        try:
            with self._db:
                self._catch_up()
                self._db.executemany(
                    "INSERT INTO window (boot_id, body) VALUES (?, ?)",
                    [(window.boot_id, orjson.dumps(window_json(window))) for window in windows],
                )
                self._db.executemany(
                    "INSERT OR REPLACE INTO mark VALUES (?, ?, ?, ?, ?)",
                    [(m.gpu_uuid, boot_id, m.sequence, m.end, m.energy_millijoules) for m in marks],
                )
                excess = max(0, self._waiting + len(windows) - self._windows_max)
                if excess:
                    self._db.execute(
                        "DELETE FROM window WHERE id IN (SELECT id FROM window ORDER BY id LIMIT ?)", (excess,)
                    )
                    self._count("lost", excess)
        except sqlite3.OperationalError:
            self._unwritten += len(windows)
        else:
            self._unwritten = self._refused_unwritten = 0
            self._waiting += len(windows) - excess

    def marks(self, boot_id: str) -> tuple[Mark, ...]:
        """Where the windows of this boot ended; those of an earlier boot say nothing any more."""
        rows = self._db.execute(
            "SELECT gpu_uuid, sequence, end_ms, energy_millijoules FROM mark WHERE boot_id = ?", (boot_id,)
        )
        return tuple(Mark(GpuUuid(uuid), sequence, Instant(end), energy) for uuid, sequence, end, energy in rows)

    def oldest(self, limit: int) -> tuple[str, tuple[Spooled, ...]]:
        """The boot id of the oldest window, and the oldest of that boot. ("", ()) where nothing waits."""
        first = self._db.execute(
            "SELECT boot_id FROM window WHERE id > ? ORDER BY id LIMIT 1", (self._answered_until,)
        ).fetchone()
        if first is None:
            return "", ()
        rows = self._db.execute(
            "SELECT id, body FROM window WHERE id > ? AND boot_id = ? ORDER BY id LIMIT ?",
            (self._answered_until, first[0], limit),
        )
        return first[0], tuple(Spooled(*row) for row in rows)

    def remove(self, oldest: Sequence[Spooled], *, refused: int = 0) -> None:
        """The API has answered for these: it holds them now, but for so many that it will never take.

        A full disk will not have a deletion either: they go with what is written next, and after a restart before that they
        are sent once more.
        """
        self._answered_until = max((each.id for each in oldest), default=self._answered_until)
        self._refused_unwritten += refused
        try:
            with self._db:
                self._catch_up()
        except sqlite3.OperationalError as error:
            logger.warning("the spool cannot be written: %s", error)
        else:
            self._unwritten = self._refused_unwritten = 0
        left = self._db.execute("SELECT count(*) FROM window WHERE id > ?", (self._answered_until,)).fetchone()
        self._waiting = int(left[0])

    def counts(self) -> SpoolCounts:
        tally = dict(self._db.execute("SELECT name, count FROM tally"))
        return SpoolCounts(self._waiting, tally["lost"] + self._unwritten, tally["refused"] + self._refused_unwritten)

    def close(self) -> None:
        self._db.close()

    def _catch_up(self) -> None:
        """Write what is known here alone."""
        self._db.execute("DELETE FROM window WHERE id <= ?", (self._answered_until,))
        self._count("lost", self._unwritten)
        self._count("refused", self._refused_unwritten)

    def _count(self, name: str, by: int) -> None:
        if by:
            self._db.execute("UPDATE tally SET count = count + ? WHERE name = ?", (by, name))


def _open(path: Path, wait_seconds: float, pages_max: int) -> sqlite3.Connection:
    """Locked for as long as it is open: two agents with one spool would give two windows the same sequence."""
    db = sqlite3.connect(path, timeout=wait_seconds)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA max_page_count = {pages_max:d}")
        db.execute("PRAGMA synchronous = FULL")
        with closing(db.cursor()) as cursor:
            cursor.executescript(_SCHEMA)
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db
