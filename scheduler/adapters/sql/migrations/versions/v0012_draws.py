"""Draws: holds in other units than standard time, and the terms that pay keeps.

Revision ID: 0012
"""

from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("holds", text("draw", nullable=True))
    op.add_column("allowances", text("kept_terms", nullable=True))
