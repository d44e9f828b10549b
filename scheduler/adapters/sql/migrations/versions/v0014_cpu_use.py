"""Readings: what the pods of a device's attempt used of CPUs.

Revision ID: 0014
"""

from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import integer

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("gpu_windows", "gpu_hours"):
        op.add_column(table, integer("cpu_millicores_max", nullable=True))
