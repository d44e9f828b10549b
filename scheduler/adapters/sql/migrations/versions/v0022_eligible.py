"""Since when a workload may start by its owner's own word: its age counts from it.

Revision ID: 0022
"""

from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import integer

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workloads", integer("eligible_at", nullable=True))
