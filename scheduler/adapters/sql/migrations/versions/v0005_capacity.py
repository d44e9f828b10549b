"""What nodes offered as it changed, and processes that were where they had no business.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import STRICT, integer, text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "node_spans",
        text("node"),
        integer("starts_at"),
        integer("ends_at", nullable=True),
        text("gpu_class", nullable=True),
        integer("gpus"),
        integer("outside_gpus"),
        integer("accepts_work"),
        sa.PrimaryKeyConstraint("node", "starts_at"),
        **STRICT,
    )
    op.create_index(None, "node_spans", ["ends_at"])
    op.create_table(
        "misuses",
        text("gpu_uuid"),
        integer("pid"),
        integer("started_ticks"),
        text("kind"),
        text("node"),
        text("name", nullable=True),
        text("pod_uid", nullable=True),
        text("attempt_id", nullable=True),
        text("holder", nullable=True),
        integer("first_at"),
        integer("last_at"),
        integer("windows"),
        integer("memory_bytes_max", nullable=True),
        integer("sm_percent_max", nullable=True),
        sa.PrimaryKeyConstraint("gpu_uuid", "pid", "started_ticks", "kind"),
        **STRICT,
    )
    op.create_index(None, "misuses", ["last_at"])
