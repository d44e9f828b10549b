"""Since when a workload grows old: of one engineer's work only so much does at once.

What waits already begins to with the first cycle.

Revision ID: 0023
"""

from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import integer

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workloads", integer("ages_from", nullable=True))
