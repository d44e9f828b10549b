"""Hardware errors that GPUs reported, and who had the GPU then: what fails with them is refunded.

Revision ID: 0020
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import STRICT, integer, text

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gpu_faults",
        text("gpu_uuid"),
        integer("start"),
        integer("xid"),
        text("attempt_id"),
        text("node"),
        integer("end"),
        integer("is_judged"),
        sa.PrimaryKeyConstraint("gpu_uuid", "start", "xid", "attempt_id"),
        **STRICT,
    )
    op.create_index(None, "gpu_faults", ["is_judged", "attempt_id"])
    op.create_index(None, "gpu_faults", ["end"])
