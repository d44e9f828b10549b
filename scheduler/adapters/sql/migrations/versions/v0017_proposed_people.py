"""The names of people files that wait for a second person, apart from the proposals, which are never erased.

Revision ID: 0017
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.migrations.versions.v0001_first import STRICT, text

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "proposed_people",
        *(text(name) for name in ("proposal_id", "engineer_id", "subject", "name")),
        sa.PrimaryKeyConstraint("proposal_id", "engineer_id"),
        **STRICT,
    )
