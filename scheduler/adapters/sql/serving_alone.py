"""One service to a database: what one keeps in memory of it, another would change behind its back.

The claim is a lock that the operating system, or PostgreSQL, gives back when the process ends, however that ends. What
an operator's own tools write is not its business. Where PostgreSQL is restarted below a service, the service takes the
claim again before it writes; where another was faster, it never writes again.
"""

import errno
import fcntl
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock
from uuid import uuid4

from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from scheduler.adapters.sql.engine import PATIENCE_SECONDS, WRITER_LOCK, parse
from scheduler.adapters.sql.faults import as_refusals
from scheduler.domain.errors import RefusalCode, Unavailable

_SERVICE_LOCK = 0x73727665  # "srve": any number, so that it is always the same; the schema is the lock's other half

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}

_NOTICED_SOON = {
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
    "idle_session_timeout": 0,
}
"""Settings of the session that holds the lock: PostgreSQL gives it back half a minute after the service's machine is
gone, and not before. By default it would be hours."""

_NOTICED_BY_US = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""Of our end: we notice that the server is gone before it gives the lock away."""

_PATIENCE_MS = str(round(PATIENCE_SECONDS * 1000))
_SERVED_BY = "served_by"
_MARK = text(
    "INSERT INTO settings (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)

log = logging.getLogger(__name__)


class Claim:
    """That this service alone serves from a database. The claim on a file is the process's own, and cannot be lost."""

    def __init__(self) -> None:
        self.lost: Unavailable | None = None
        """Why this service may never write again: another has served meanwhile, and what we remember may be untrue."""
        self.when_lost: Callable[[], None] | None = None
        """Called once, from any thread."""

    @property
    def may_be_cut(self) -> bool:
        return False

    def require(self) -> None:
        """Raises Unavailable where this service may not write: for now (`database-unavailable`), or ever again, for
        another has the database or had it (`database-locked`)."""


@contextmanager
def serving_alone(url: str) -> Iterator[Claim]:
    """Raises Unavailable (`database-locked`) where another process serves from this database."""
    address = parse(url)
    if address.get_backend_name() == "postgresql":
        with closing(SessionClaim(address)) as claim:
            claim.take()
            yield claim
    else:
        with _claim_file(address):
            yield Claim()


@contextmanager
def _claim_file(address: URL) -> Iterator[None]:
    """By a file beside the database, which stays: SQLite's own locks on the database are between transactions."""
    if not address.database or address.database.startswith("file:"):
        yield
        return
    file = Path(address.database).resolve()
    lock = file.with_name(f"{file.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # a folder that is missing or may not be written to: the store says which, in its own words
        yield
        return
    try:
        if not _is_locked(descriptor):
            raise _taken(str(file), os.pread(descriptor, 200, 0).decode(errors="replace").strip())
        with suppress(OSError):  # a full disk: nobody will read who we are, and the store says what is wrong
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    """Whether it is ours now. A file system that knows no such locks lets everybody in: the service is worth more than the
    claim, and SQLite keeps its own transactions apart."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


class SessionClaim(Claim):
    """By an advisory lock of a session of its own, which a restart of the server ends: then it is taken again, unless
    another service has it, or has served meanwhile."""

    def __init__(self, address: URL) -> None:
        super().__init__()
        self._name = f"{address.host or ''}/{address.database}"
        self._mark = uuid4().hex
        self._expected: str | None = None
        """Who left the last mark, as far as we know."""
        self._mutex = Lock()
        self._connection: Connection | None = None
        self._engine = create_engine(
            address,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "connect_timeout": round(PATIENCE_SECONDS),
                "application_name": "allot, serving alone",
                **_NOTICED_BY_US,
            },
        )

    @property
    def may_be_cut(self) -> bool:
        return True

    def take(self) -> None:
        """For the first time. Raises Unavailable."""
        with self._mutex, as_refusals():
            connection = self._session()
            if not _is_ours(connection):
                raise _taken(self._name)
            # Whoever had it until now may be in the midst of a write, which found it still had it.
            connection.execute(text("SELECT set_config('lock_timeout', :ms, false)"), {"ms": _PATIENCE_MS})
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": WRITER_LOCK})
            self._expected = _last_mark(connection)

    def require(self) -> None:
        """See `Claim`. Asked within each writing transaction, which has the writers' lock: no other service that takes the
        database after our answer begins to read before that transaction has ended."""
        with self._mutex, as_refusals():
            if self.lost is not None:
                raise self.lost
            connection = self._connection
            if connection is None or not _is_alive(connection):
                connection = self._take_again()
            if self._expected != self._mark:
                self._leave_mark(connection)

    def close(self) -> None:
        self._forget_session()
        self._engine.dispose()

    def _take_again(self) -> Connection:
        connection = self._session()
        if not _is_ours(connection) or _last_mark(connection) != self._expected:
            self._forget_session()
            self.lost = Unavailable(
                f"another service took the database {self._name} while this one's session was cut: this one writes no more",
                code=RefusalCode.DATABASE_LOCKED,
                remedy="start this one again: it waits until the other has ended",
            )
            if self.when_lost is not None:
                self.when_lost()
            raise self.lost
        log.warning("the session that keeps %s to this service was cut; it is ours again", self._name)
        return connection

    def _session(self) -> Connection:
        self._forget_session()
        self._connection = self._engine.connect()
        return self._connection

    def _forget_session(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()

    def _leave_mark(self, connection: Connection) -> None:
        """Before our first write is committed: whoever had the database before us will know. Once there is a schema."""
        if _has_settings(connection):
            connection.execute(_MARK, {"key": _SERVED_BY, "value": self._mark})
            self._expected = self._mark


def _is_alive(connection: Connection) -> bool:
    """Each writing transaction asks: by the driver itself, in a third of the time."""
    driver = connection.connection.driver_connection
    assert driver is not None, "it is let go with its session alone"
    try:
        driver.execute("SELECT 1")
    except connection.dialect.loaded_dbapi.Error:
        return False
    return True


def _has_settings(connection: Connection) -> bool:
    return connection.execute(text("SELECT to_regclass('settings')")).scalar() is not None


def _last_mark(connection: Connection) -> str | None:
    """Of the service that wrote last; None where there is none, or no schema yet."""
    if not _has_settings(connection):
        return None
    found = connection.execute(text("SELECT value FROM settings WHERE key = :key"), {"key": _SERVED_BY}).scalar()
    return None if found is None else str(found)


def _is_ours(connection: Connection) -> bool:
    for name, value in _NOTICED_SOON.items():
        connection.execute(
            text("SELECT set_config(name, :value, false) FROM pg_settings WHERE name = :name"),
            {"name": name, "value": str(value)},
        )
    lock = text("SELECT pg_try_advisory_lock(:number, hashtext(coalesce(current_schema(), '')))")
    return bool(connection.execute(lock, {"number": _SERVICE_LOCK}).scalar_one())


def _taken(database: str, who: str = "") -> Unavailable:
    return Unavailable(
        f"another service has the database {database}" + (f" ({who})" if who else ""),
        code=RefusalCode.DATABASE_LOCKED,
        remedy="stop that one, or give --database another: a database has one service",
    )
