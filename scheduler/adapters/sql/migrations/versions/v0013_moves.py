"""Reservations of work that is moved: its new place.

Revision ID: 0013
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.columns import Int64

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reservations", sa.Column("is_move", Int64(), nullable=False, server_default="0"))
