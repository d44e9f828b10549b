"""Bookings: which attempt runs inside which.

Revision ID: 0008
"""

from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", text("booking_id", nullable=True))
    op.add_column("attempts", text("booked_for", nullable=True))
    op.create_index(None, "attempts", ["booking_id"])
