"""Packages that vest, rests that roll over, and allowances that are frozen.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.migrations.triggers import make_append_only
from scheduler.adapters.sql.migrations.versions.v0001_first import STRICT, integer, text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("vesting", "rollover"):
        op.add_column("allowances", text(name, nullable=True))
    op.create_table(
        "freezes",
        integer("seq"),
        text("allowance_id"),
        integer("is_frozen"),
        integer("at"),
        text("by"),
        text("reason"),
        text("request_id"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "freezes", ["allowance_id", "seq"])
    make_append_only("freezes")
