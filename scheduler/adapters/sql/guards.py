"""What of the database keeps the rows as they were written: its triggers and its unique keys. Which there have to be,
and what of them is missing, changed or added in a database that was handed over.

A trigger that is there under its name and refuses nothing any more is as good as dropped: so whole texts are compared.
"""

import re
from collections.abc import Iterator, Mapping

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from scheduler.adapters.sql.trigger_texts import (
    Trigger,
    accounts_stay,
    append_only,
    closed_periods,
    holds_resolve_once,
)
from scheduler.finance.proving.findings import Finding, FindingCode
from scheduler.finance.proving.heads import Unreadable
from scheduler.finance.proving.relations import ACCOUNTS, SEALED, TREES

_APPEND_ONLY = [tree.name for tree in TREES if tree is not ACCOUNTS] + ["heads", "verdicts", "idle_decisions"]
_UNIQUE_TOO = {"transactions": "id", "proposals": "id", "proposal_moves": "proposal_id"}
UNIQUE: Mapping[str, tuple[tuple[str, ...], ...]] = {
    **{relation.name: ((relation.key,),) for relation in (*TREES, *SEALED)},
    **{name: (("seq",), (column,)) for name, column in _UNIQUE_TOO.items()},
    "accounts": (("id",), ("owner", "kind", "unit")),
}
"""The keys that every proven table refuses a second row for: nothing is posted twice under one id."""

_Signature = tuple[str, ...]
"""All that a trigger does, as the database tells it; its table first."""

_EVENTS = {"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
_ROW, _BEFORE = 1, 2
"""The bits of PostgreSQL's `pg_trigger.tgtype`."""


def missing_guards(connection: Connection) -> list[Finding]:
    """One finding for each trigger that is not as it was made, or that nobody of us made. Raises Unreadable."""
    is_sqlite = connection.dialect.name == "sqlite"
    try:
        found = dict(_on_sqlite(connection) if is_sqlite else _on_postgres(connection))
    except SQLAlchemyError as error:
        raise Unreadable("its triggers cannot be read") from error
    sign = _signed_on_sqlite if is_sqlite else _signed_on_postgres
    wanted = {trigger.name: sign(trigger) for trigger in _wanted(is_sqlite=is_sqlite)}
    findings = [
        Finding(FindingCode.GUARD_MISSING, f"the trigger {name} does not guard it any more", signature[0])
        for name, signature in wanted.items()
        if found.get(name) != signature
    ]
    return findings + [
        Finding(FindingCode.SCHEMA_CHANGED, f"it has a trigger {name}, which is none of ours", found[name][0])
        for name in sorted(found.keys() - wanted.keys())
    ]


def missing_keys(connection: Connection) -> list[Finding]:
    """One finding for each key of a proven table that may now stand twice. Raises Unreadable."""
    keys_of = _keys_on_sqlite if connection.dialect.name == "sqlite" else _keys_on_postgres
    try:
        found = {table: set(keys_of(connection, table)) for table in UNIQUE}
    except SQLAlchemyError as error:
        raise Unreadable("its keys cannot be read") from error
    return [
        Finding(FindingCode.SCHEMA_CHANGED, f"its {', '.join(key)} may stand there twice", table)
        for table, keys in UNIQUE.items()
        for key in keys
        if key not in found[table]
    ]


def rows_hidden(connection: Connection) -> list[Finding]:
    """One finding for each proven table of PostgreSQL that may show other rows than its own or take less than was asked,
    and for each setting of the database that turns triggers off. Raises Unreadable."""
    if connection.dialect.name == "sqlite":
        return []
    query = (
        "SELECT relname, 'its rows are hidden from some by row security' FROM pg_class "
        "WHERE relkind = 'r' AND relrowsecurity "
        "UNION SELECT c.relname, 'the rule ' || r.rulename || ' rewrites what is asked of it' FROM pg_rewrite r "
        "JOIN pg_class c ON c.oid = r.ev_class WHERE c.relkind = 'r' "
        "UNION SELECT c.relname, 'rows of the table ' || h.relname || ', which nothing guards, are read as its own' "
        "FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent JOIN pg_class h ON h.oid = i.inhrelid "
        "WHERE c.relkind = 'r' ORDER BY 1, 2"
    )
    unguarded = (
        "SELECT setting FROM pg_db_role_setting, unnest(setconfig) AS setting "
        "WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) "
        "AND setting ~ '^session_replication_role=' AND setting !~ '=origin$' ORDER BY 1"
    )
    try:
        found = connection.exec_driver_sql(query).all()
        settings = connection.exec_driver_sql(unguarded).scalars().all()
    except SQLAlchemyError as error:
        raise Unreadable("its rules cannot be read") from error
    hidden = [Finding(FindingCode.SCHEMA_CHANGED, str(said), str(table)) for table, said in found if table in UNIQUE]
    return hidden + [
        Finding(FindingCode.GUARD_MISSING, f"sessions of this database begin without triggers: {setting}")
        for setting in dict.fromkeys(settings)
    ]


def _wanted(*, is_sqlite: bool) -> Iterator[Trigger]:
    for table in _APPEND_ONLY:
        yield from append_only(table, _UNIQUE_TOO.get(table), is_sqlite=is_sqlite)
    yield from (*accounts_stay(), *holds_resolve_once())
    for table in ("transactions", "entries"):
        yield from closed_periods(table, is_sqlite=is_sqlite)


# SQLite


def _on_sqlite(connection: Connection) -> Iterator[tuple[str, _Signature]]:
    query = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'"
    for name, table, text in connection.exec_driver_sql(query):
        yield str(name), (str(table), _without_blanks(text))


def _signed_on_sqlite(trigger: Trigger) -> _Signature:
    return trigger.table, _without_blanks(trigger.on_sqlite())


def _keys_on_sqlite(connection: Connection, table: str) -> Iterator[tuple[str, ...]]:
    columns = list(connection.exec_driver_sql("SELECT name, pk FROM pragma_table_info(?)", (table,)))
    yield tuple(name for name, place in sorted(columns, key=lambda c: int(c[1])) if place)
    query = 'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial'
    for (index,) in list(connection.exec_driver_sql(query, (table,))):
        named = connection.exec_driver_sql("SELECT name FROM pragma_index_info(?) ORDER BY seqno", (index,))
        yield tuple(str(name) for (name,) in named)


# PostgreSQL


def _on_postgres(connection: Connection) -> Iterator[tuple[str, _Signature]]:
    query = (
        "SELECT t.tgname, c.relname, t.tgtype, t.tgenabled, pg_get_triggerdef(t.oid), p.prosrc FROM pg_trigger t "
        "JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal"
    )
    for name, table, kind, enabled, text, body in connection.exec_driver_sql(query):
        when = re.search(r" WHEN \((.*)\) EXECUTE ", str(text))
        is_on = "on" if _as_text(enabled) in {"O", "A"} else "off"
        condition = _plain_condition(when[1]) if when else ""
        yield str(name), (str(table), str(kind), is_on, condition, _without_blanks(body))


def _signed_on_postgres(trigger: Trigger) -> _Signature:
    kind = _BEFORE + sum(_EVENTS[event] for event in trigger.event.split(" OR "))
    kind += _ROW if trigger.event != "TRUNCATE" else 0
    return (
        trigger.table,
        str(kind),
        "on",
        _plain_condition(trigger.condition),
        _without_blanks(trigger.postgres_body()),
    )


def _keys_on_postgres(connection: Connection, table: str) -> Iterator[tuple[str, ...]]:
    query = (
        "SELECT array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k(number, place) "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number ORDER BY k.place) "
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
        "WHERE c.relname = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL"
    )
    for (names,) in connection.exec_driver_sql(query, (table,)):
        yield tuple(names)


def _plain_condition(text: str) -> str:
    """As it was written, however the server shows it: without blanks, brackets and the types of constants."""
    return re.sub(r"::text|[\s()]", "", text).lower()


def _without_blanks(text: object) -> str:
    return " ".join(str(text).split())


def _as_text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
