"""Which sizes an elastic attempt had before it was resized.

Revision ID: 0016
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.columns import Characters

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("past_sizes", Characters(), nullable=False, server_default="[]"))
