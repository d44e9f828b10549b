"""Engines for both databases, configured so that a transaction means the same on each.

SQLite: WAL, synchronous=FULL, foreign keys, `BEGIN IMMEDIATE` to write and `BEGIN` on a query-only connection to
read. PostgreSQL: an advisory lock makes one writer at a time, as on SQLite: what a writing transaction has read
stays true until it commits, the journal's sequence has no gaps and the order of commits, and nothing deadlocks.
"""

import os
from collections.abc import Callable
from pathlib import Path
from sqlite3 import SQLITE_BUSY, Cursor, OperationalError
from time import monotonic, sleep
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from scheduler.adapters.sql.checkpointing import LOG_PAGES_MAX
from scheduler.adapters.sql.driving import begin
from scheduler.domain.errors import InvalidInput

PATIENCE_SECONDS = 10.0
"""How long to wait for a lock or a free connection before it is refused as `database-locked`."""

_LOG_PAUSE_SECONDS = 0.01

READERS_MAX = 40
"""As many as the API has threads."""

WRITER_LOCK = 0x616C6C6F74  # "allot": any number, so that it is always the same


def parse(url: str) -> URL:
    """Raises InvalidInput where it is no address of a SQLite or PostgreSQL database."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise _not_an_address(url) from error
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername in {"sqlite", "postgresql+psycopg"}:
        return parsed
    raise _not_an_address(url)


def open_engine(
    url: URL,
    *,
    to_write: bool,
    patience_seconds: float = PATIENCE_SECONDS,
    require_claim: Callable[[], None] | None = None,
) -> Engine:
    """An engine whose every transaction writes, or whose every transaction reads one consistent state. `require_claim` is
    called within each that writes to a server, once nobody else can, and raises where it may not."""
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, to_write, patience_seconds)
    return _postgres_engine(url, to_write, patience_seconds, require_claim)


def _sqlite_engine(url: URL, to_write: bool, patience_seconds: float) -> Engine:
    engine = create_engine(
        url if to_write else _as_it_lies(url),
        connect_args={"check_same_thread": False, "timeout": patience_seconds},
        pool_size=1 if to_write else 8,
        max_overflow=0 if to_write else READERS_MAX - 8,
        pool_timeout=patience_seconds,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: `begin` below does
        cursor = connection.cursor()
        if to_write:
            _keep_log(cursor, patience_seconds)
        else:
            cursor.execute("PRAGMA query_only = ON")
        for pragma in (
            "synchronous = FULL",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            f"cache_size = -{32_768 if to_write else 4_096}",
            f"wal_autocheckpoint = {LOG_PAGES_MAX}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin_ours(connection: Connection) -> None:
        begin(connection, "BEGIN IMMEDIATE" if to_write else "BEGIN")

    return engine


def _keep_log(cursor: Cursor, patience_seconds: float) -> None:
    """Turn the write-ahead log on, which a new file does not have. Where another is about to write
    the same new file, SQLite waits for no lock here, whatever its timeout says: it refuses at once."""
    until = monotonic() + patience_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except OperationalError as error:
            if error.sqlite_errorcode != SQLITE_BUSY or monotonic() >= until:
                raise
            sleep(_LOG_PAUSE_SECONDS)
        else:
            return


def _as_it_lies(url: URL) -> URL:
    """A copy in a folder that cannot be written to, on a disc that an auditor was handed say, is read as what never
    changes: SQLite would make the files of its log beside it first. A log that was not folded in is read with it, and
    whoever else has the file open, with rights that we lack, may yet write to it."""
    file = Path(url.database or "")
    if str(file).startswith("file:") or not file.is_file() or os.access(file.parent, os.W_OK):
        return url
    log, index_of_log = (file.with_name(f"{file.name}{suffix}") for suffix in ("-wal", "-shm"))
    if index_of_log.exists() or (log.is_file() and log.stat().st_size):
        return url
    return url.set(database=f"file:{quote(str(file.absolute()))}", query={"immutable": "1", "uri": "true"})


def _postgres_engine(
    url: URL, to_write: bool, patience_seconds: float, require_claim: Callable[[], None] | None
) -> Engine:
    engine = create_engine(
        url,
        isolation_level="READ COMMITTED" if to_write else "REPEATABLE READ",
        connect_args={"connect_timeout": max(2, round(patience_seconds)), "application_name": "allot"},
        pool_size=2 if to_write else 8,
        max_overflow=0 if to_write else READERS_MAX - 8,
        pool_timeout=patience_seconds,
        pool_pre_ping=True,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if to_write:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(patience_seconds * 1000)}")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")
            if require_claim is not None:
                require_claim()
        else:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    return engine


def _not_an_address(url: str) -> InvalidInput:
    scheme = url.split(":", 1)[0]
    return InvalidInput(
        f"{scheme!r} is no kind of database that we know",
        where="the database address",
        expected="sqlite:///FILE or postgresql://USER@HOST/NAME",
    )
