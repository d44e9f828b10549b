"""One service to a database: what one keeps in memory of it, another would change behind its back.

The claim is a lock that the operating system, or PostgreSQL, gives back when the process ends, however that ends. What
an operator's own tools write is not its business.
"""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, Connection, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from scheduler.adapters.sql.engine import PATIENCE_SECONDS, parse
from scheduler.adapters.sql.faults import refusal_for
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


@contextmanager
def serving_alone(url: str) -> Iterator[None]:
    """Raises Unavailable (`database-locked`) where another process serves from this database."""
    address = parse(url)
    claim = _claim_schema if address.get_backend_name() == "postgresql" else _claim_file
    with claim(address):
        yield


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


@contextmanager
def _claim_schema(address: URL) -> Iterator[None]:
    """By an advisory lock of a session of its own."""
    engine = create_engine(
        address,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": round(PATIENCE_SECONDS), "application_name": "allot, serving alone"},
    )
    with ExitStack() as held:
        held.callback(engine.dispose)
        try:
            connection = held.enter_context(closing(engine.connect()))
            is_ours = _is_ours(connection)
        except SQLAlchemyError as error:
            refusal = refusal_for(error)
            raise (error if refusal is None else refusal) from error
        if not is_ours:
            raise _taken(f"{address.host or ''}/{address.database}")
        yield


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
