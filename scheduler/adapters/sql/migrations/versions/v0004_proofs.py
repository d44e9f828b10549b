"""Proofs and periods: seals and heads, closed periods and their differences, changes of roles, marked corrections.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.columns import Characters, Int64
from scheduler.adapters.sql.migrations.triggers import make_append_only, refuse_closed_periods
from scheduler.adapters.sql.sealing import seal_unsealed

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STRICT = {"sqlite_strict": True}


def upgrade() -> None:
    op.add_column("transactions", integer("corrects_at", nullable=True))
    op.add_column("tokens", integer("issued_at", nullable=True))
    op.add_column("tokens", text("issued_by", nullable=True))
    _proofs()
    _periods()
    for table in ("seals", "heads", "role_changes", "period_closings", "differences", "settlements"):
        make_append_only(table)
    refuse_closed_periods("transactions")
    refuse_closed_periods("entries")
    seal_unsealed(op.get_bind())


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, Characters(), nullable=nullable)


def integer(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, Int64(), autoincrement=False, nullable=nullable)


def _proofs() -> None:
    op.create_table(
        "seals",
        integer("seq"),
        text("relation"),
        text("key"),
        text("digest"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_table(
        "heads",
        integer("seq"),
        integer("at"),
        text("body"),
        text("waiting"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_table(
        "role_changes",
        integer("seq"),
        integer("at"),
        text("principal"),
        text("credential"),
        text("role"),
        integer("is_granted"),
        text("by"),
        text("request_id"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "role_changes", ["principal", "seq"])


def _periods() -> None:
    op.create_table(
        "period_closings",
        integer("seq"),
        text("period"),
        integer("starts_at"),
        integer("ends_at"),
        text("state"),
        integer("at"),
        text("by"),
        text("role"),
        text("request_id"),
        text("sums"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "period_closings", ["state", "ends_at"])
    op.create_table(
        "differences",
        integer("seq"),
        text("id"),
        text("period"),
        text("kind"),
        text("subject"),
        integer("gpu_ms"),
        text("detail"),
        integer("at"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "differences", ["period"])
    op.create_table(
        "settlements",
        integer("seq"),
        text("difference_id"),
        integer("gpu_ms"),
        text("kind"),
        text("owner"),
        text("reason"),
        text("by"),
        integer("at"),
        text("request_id"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "settlements", ["difference_id"])
