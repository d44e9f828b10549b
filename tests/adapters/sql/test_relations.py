"""What is proven is what there is: the list of tables and columns in `finance/relations` is the schema's own."""

import pytest
from sqlalchemy import Connection, text

from scheduler.adapters.sql.columns import Row
from scheduler.adapters.sql.guards import missing_guards
from scheduler.adapters.sql.store import SqlStore
from scheduler.finance.relations import SEALED, TREES, Relation

OUTSIDE = {"heads", "verdicts", "idle_decisions"}
"""Append-only and in no tree: heads are compared with what was published; the other two explain, and move no money."""


@pytest.mark.parametrize("relation", [*TREES, *SEALED], ids=lambda relation: relation.name)
def test_every_column_of_a_proven_table_is_inside_its_leaf_or_checked_against_it(relation: Relation) -> None:
    columns = {column.name for column in Row.metadata.tables[relation.name].columns}
    assert {*relation.columns, *relation.may_change} == columns


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
