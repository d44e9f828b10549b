"""Workloads are found by their Jobs' UIDs, and no longer by the names of these.

Revision ID: 0021
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("workloads_by_job_name_namespace", "workloads")
    op.create_index(None, "workloads", ["job_uid"])
