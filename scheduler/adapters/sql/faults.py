"""What a database reports, as refusals of ours: the one table of SQLite's result codes and PostgreSQL's states."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from scheduler.domain.errors import RefusalCode, Unavailable

_LOCKED = (RefusalCode.DATABASE_LOCKED, "the database is locked", "try again; another program holds it")
_READ_ONLY = (
    RefusalCode.DATABASE_READ_ONLY,
    "the database is read-only",
    "give the service write access to the file and its folder, or to the tables",
)
_FULL = (
    RefusalCode.DATABASE_FULL,
    "the disk of the database is full",
    "free space, then try again: nothing was lost",
)
_UNAVAILABLE = (
    RefusalCode.DATABASE_UNAVAILABLE,
    "the database does not answer",
    "check that the address is right and the server runs",
)
_DAMAGED = (
    RefusalCode.DATABASE_UNAVAILABLE,
    "this is no database, or it is damaged",
    "check the path; restore from the last backup",
)

_SQLITE = {
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_CANTOPEN: _UNAVAILABLE,
    sqlite3.SQLITE_IOERR: _UNAVAILABLE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}

_POSTGRES = {
    "55P03": _LOCKED,  # lock_not_available
    "57014": _LOCKED,  # query_canceled, by a timeout
    "40001": _LOCKED,  # serialization_failure
    "40P01": _LOCKED,  # deadlock_detected
    "25006": _READ_ONLY,  # read_only_sql_transaction
    "42501": _READ_ONLY,  # insufficient_privilege
    "53100": _FULL,  # disk_full
}

_POSTGRES_CLASSES_UNAVAILABLE = {"08", "3D", "28", "53", "57"}
"""Connection, unknown database, authorization, resources, operator intervention."""


@contextmanager
def as_refusals() -> Iterator[None]:
    """The database's faults as refusals with a code; a fault of ours goes up as it is."""
    try:
        yield
    except SQLAlchemyError as error:
        refusal = _refusal_for(error)
        if refusal is None:
            raise
        raise refusal from error


def _refusal_for(error: SQLAlchemyError) -> Unavailable | None:
    """The refusal for an error of the database's, or None for one of ours (a bug: it goes up as it is)."""
    fault = _UNAVAILABLE if isinstance(error, PoolTimeout) else None
    if isinstance(error, DBAPIError):
        original = error.orig
        fault = _sqlite_fault(original) if isinstance(original, sqlite3.Error) else _postgres_fault(error)
    if fault is None:
        return None
    code, message, remedy = fault
    first_line = str(getattr(error, "orig", None) or error).splitlines()[0]
    return Unavailable(f"{message} ({first_line})", code=code, remedy=remedy)


def _sqlite_fault(original: sqlite3.Error) -> tuple[RefusalCode, str, str] | None:
    return _SQLITE.get(getattr(original, "sqlite_errorcode", 0) & 0xFF)


def _postgres_fault(error: DBAPIError) -> tuple[RefusalCode, str, str] | None:
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return _UNAVAILABLE if error.connection_invalidated or _is_operational(error) else None
    if state in _POSTGRES:
        return _POSTGRES[state]
    return _UNAVAILABLE if state[:2] in _POSTGRES_CLASSES_UNAVAILABLE else None


def _is_operational(error: DBAPIError) -> bool:
    """A server that was never reached gives an error without a state."""
    return type(error.orig).__name__ == "OperationalError"
