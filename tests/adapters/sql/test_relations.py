"""What is append-only is proven: the trees of `finance/relations` are the tables that the database guards."""

from sqlalchemy import Connection, text

from scheduler.adapters.sql.guards import missing_guards
from scheduler.adapters.sql.store import SqlStore
from scheduler.finance.proving.relations import TREES

OUTSIDE = {"heads", "verdicts", "idle_decisions"}
"""Append-only and in no tree: heads are compared with what was published; the other two explain, and move no money."""


def test_every_append_only_table_is_a_tree(store: SqlStore, raw: Connection) -> None:
    if raw.dialect.name == "sqlite":
        query = "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '%_no_update'"
    else:
        query = (
            "SELECT relname FROM pg_trigger JOIN pg_class ON tgrelid = pg_class.oid WHERE tgname LIKE '%_no_change'"
        )
    append_only = {name for (name,) in raw.execute(text(query))}
    assert append_only - OUTSIDE == {tree.name for tree in TREES} - {"accounts"}


def test_a_fresh_database_has_every_guard(store: SqlStore, raw: Connection) -> None:
    assert missing_guards(raw) == []
