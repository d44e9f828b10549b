"""Price books, as they were applied.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.migrations.triggers import make_append_only
from scheduler.adapters.sql.migrations.versions.v0001_first import STRICT, integer, text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "price_books",
        integer("seq"),
        text("hash"),
        text("name"),
        text("text"),
        integer("applied_at"),
        text("applied_by"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    make_append_only("price_books")
