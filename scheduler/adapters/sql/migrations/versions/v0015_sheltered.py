"""Attempts that were launched without their minimum runtime.

Revision ID: 0015
"""

from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import integer

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", integer("minimum_runtime_ms", nullable=True))
