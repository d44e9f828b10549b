"""The team of whoever held tokens, for cost centres; and seals of those holds: exports name people and teams by them.

Revision ID: 0019
"""

from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import text
from scheduler.adapters.sql.sealing import seal_unsealed

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("token_holds", text("team", nullable=True))
    seal_unsealed(op.get_bind())
