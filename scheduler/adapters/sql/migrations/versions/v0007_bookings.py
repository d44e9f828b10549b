"""Bookings: which attempt runs inside which.

Revision ID: 0007
"""

from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", text("booking_id", nullable=True))
    op.add_column("attempts", text("booked_for", nullable=True))
    op.create_index(None, "attempts", ["booking_id"])
