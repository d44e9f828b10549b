"""Tokens that a gateway holds for answers in the making.

Revision ID: 0018
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import STRICT, integer, text

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "token_holds",
        text("id"),
        text("owner"),
        text("model"),
        text("project", nullable=True),
        text("shares"),
        integer("opened_at"),
        integer("expires_at"),
        text("by"),
        integer("used"),
        text("state"),
        integer("resolved_at", nullable=True),
        sa.CheckConstraint("used >= 0", name=op.f("token_holds_used_from_nothing")),
        sa.PrimaryKeyConstraint("id"),
        **STRICT,
    )
    op.create_index(None, "token_holds", ["state", "expires_at"])
