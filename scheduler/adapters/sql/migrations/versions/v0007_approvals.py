"""Proposals that wait for a second person, and what became of them.

Revision ID: 0007
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.migrations.triggers import make_append_only
from scheduler.adapters.sql.migrations.versions.v0001_first import STRICT, integer, text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "proposals",
        integer("seq"),
        *(text(name) for name in ("id", "hash", "kind")),
        integer("asked_at"),
        *(text(name) for name in ("asked_by", "role", "reason", "request_id")),
        *(text(name, nullable=True) for name in ("award", "change")),
        *(text(name) for name in ("name", "text", "base")),
        integer("corrects"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "proposals", ["id"], unique=True)
    op.create_index(None, "proposals", ["asked_by"])
    op.create_table(
        "proposal_moves",
        integer("seq"),
        *(text(name) for name in ("proposal_id", "state")),
        integer("at"),
        *(text(name) for name in ("by", "role", "reason", "request_id")),
        text("change", nullable=True),
        text("made"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "proposal_moves", ["proposal_id"], unique=True)
    make_append_only("proposals", unique="id")
    make_append_only("proposal_moves", unique="proposal_id")
