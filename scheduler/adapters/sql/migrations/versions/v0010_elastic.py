"""Elastic jobs: between how many pods an attempt may be resized, and the pods that it gives back.

Revision ID: 0010
"""

from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import text

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", text("elastic", nullable=True))
    op.add_column("attempts", text("leaving", nullable=True))
