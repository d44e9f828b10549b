"""What is append-only is proven: the trees of `finance/relations` are the tables that the database guards."""

from sqlalchemy import Connection, inspect, text

from scheduler.adapters.sql.guards import missing_guards
from scheduler.adapters.sql.store import SqlStore
from scheduler.finance.proving.relations import SEALED, TREES
from tests.docs.markdown import ROOT

OUTSIDE = {"heads", "verdicts", "idle_decisions"}
"""Append-only and in no tree: heads are compared with what was published; the other two explain, and move no money."""

NAMES = "personal data, erased when a person is forgotten"
READINGS = "readings of GPUs and nodes, shown beside charges: no charge rests on them"
WHY = "why something waits, stops or rests: it explains, and moves no money"
PROGRESS = "how far a loop or a request came"
UNPROVEN = {
    "heads": "compared with what was published",
    **dict.fromkeys(("engineers", "proposed_people", "tokens"), NAMES),
    **dict.fromkeys(
        ("gpu_windows", "gpu_hours", "gpus", "inventories", "node_spans", "sample_refusals", "misuses"), READINGS
    ),
    **dict.fromkeys(
        ("verdicts", "pauses", "stops", "reservations", "idle_watches", "idle_exemptions", "idle_decisions"), WHY
    ),
    "gpu_faults": "the word of a node's agent that a GPU failed: what is refunded for it stands in the journal",
    **dict.fromkeys(("commands", "settings", "sandboxes", "alembic_version"), PROGRESS),
}
"""Every table that no proof is over, and why not. docs/audit.md tells auditors the same."""


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


def test_every_table_is_proven_or_says_why_not(store: SqlStore, raw: Connection) -> None:
    proven = {relation.name for relation in (*TREES, *SEALED)}
    assert set(inspect(raw).get_table_names()) - proven == set(UNPROVEN)
    page = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    assert [table for table in UNPROVEN if f"`{table}`" not in page] == []


def test_every_column_of_a_proven_table_is_in_its_canonical_form_or_checked(store: SqlStore, raw: Connection) -> None:
    """A column that is added to a table and not to its leaf would be free to change."""
    for relation in (*TREES, *SEALED):
        found = {column["name"] for column in inspect(raw).get_columns(relation.name)}
        assert found == {*relation.columns, *relation.may_change}, relation.name
