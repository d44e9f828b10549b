"""The triggers that keep what was written: which there have to be, and which are missing from a database."""

from collections.abc import Iterator

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from scheduler.finance.proving.findings import Finding, FindingCode
from scheduler.finance.proving.heads import Unreadable
from scheduler.finance.proving.relations import ACCOUNTS, TREES

_APPEND_ONLY = [tree.name for tree in TREES if tree is not ACCOUNTS] + ["heads", "verdicts"]


def missing_guards(connection: Connection) -> list[Finding]:
    """One finding for each trigger that is not there, is switched off, or no longer refuses. Raises Unreadable."""
    is_sqlite = connection.dialect.name == "sqlite"
    try:
        found = _on_sqlite(connection) if is_sqlite else _on_postgres(connection)
    except SQLAlchemyError as error:
        raise Unreadable("its triggers cannot be read") from error
    wanted = _wanted_on_sqlite() if is_sqlite else _wanted_on_postgres()
    return [
        Finding(FindingCode.GUARD_MISSING, f"the trigger {name} does not guard it any more", table)
        for table, name in wanted
        if name not in found
    ]


def _on_sqlite(connection: Connection) -> set[str]:
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    return {name for name, text in connection.exec_driver_sql(query) if "RAISE(ABORT" in str(text)}


def _on_postgres(connection: Connection) -> set[str]:
    query = (
        "SELECT t.tgname, p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
        "WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'"
    )
    return {name for name, text in connection.exec_driver_sql(query) if "RAISE EXCEPTION" in str(text)}


def _wanted_on_sqlite() -> Iterator[tuple[str, str]]:
    for table in _APPEND_ONLY:
        for name in ("no_update", "no_delete", "no_replace"):
            yield table, f"{table}_{name}"
    yield from _wanted_on_both()


def _wanted_on_postgres() -> Iterator[tuple[str, str]]:
    for table in _APPEND_ONLY:
        for name in ("no_change", "no_truncate"):
            yield table, f"{table}_{name}"
    yield from _wanted_on_both()


def _wanted_on_both() -> Iterator[tuple[str, str]]:
    for table, name in (
        ("accounts", "same_name"),
        ("accounts", "no_delete"),
        ("holds", "resolved_once"),
        ("holds", "no_delete"),
        ("transactions", "closed_period"),
        ("entries", "closed_period"),
    ):
        yield table, f"{table}_{name}"
