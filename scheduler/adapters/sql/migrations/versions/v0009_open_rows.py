"""Seals of rows that are not final: from now on each has one, from when it is first written.

Revision ID: 0009
"""

from alembic import op

from scheduler.adapters.sql.sealing import seal_unsealed

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    seal_unsealed(op.get_bind())
