"""Opaque ids where subjects stood: pauses, exemptions, verdicts, answers to repeated commands.

None of these tables is in a tree: every proof stays as it is. A verdict keeps everything but whom it names.

Revision ID: 0011
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.migrations.triggers import drop_append_only, make_append_only

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT subject, id FROM engineers WHERE subject <> ''"))
    people = {str(subject): str(engineer_id) for subject, engineer_id in rows}
    for table in ("pauses", "idle_exemptions"):
        statement = sa.text(f'UPDATE {table} SET "by" = :id WHERE "by" = :subject')  # noqa: S608  # names are ours
        for subject, engineer_id in people.items():
            connection.execute(statement, {"id": engineer_id, "subject": subject})
    # Its ids begin with the subject. Who repeats a command of before the upgrade does it again.
    connection.execute(sa.text("DELETE FROM commands"))
    drop_append_only("verdicts")
    _rename_verdicts(connection, people)
    make_append_only("verdicts")


def _rename_verdicts(connection: sa.Connection, people: dict[str, str]) -> None:
    found = connection.execute(sa.text("SELECT seq, evidence FROM verdicts WHERE evidence LIKE '%\"by\"%'")).all()
    for seq, text in found:
        evidence: dict[str, Any] = json.loads(text)
        if evidence.get("by") in people:
            evidence["by"] = people[evidence["by"]]
            changed = json.dumps(evidence, separators=(",", ":"), ensure_ascii=False)
            connection.execute(
                sa.text("UPDATE verdicts SET evidence = :evidence WHERE seq = :seq"),
                {"evidence": changed, "seq": seq},
            )
