"""The first schema: the journal, allowances and holds, workloads and attempts, people, and what steers the service.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.columns import Characters, Int64
from scheduler.adapters.sql.migrations.triggers import guard_accounts, guard_holds, make_append_only

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STRICT = {"sqlite_strict": True}


def upgrade() -> None:
    _journal()
    _people()
    _workloads()
    _attempts()
    _pods_and_reservations()
    _allowances()
    _records()
    _control()
    make_append_only("transactions", unique="id")
    make_append_only("entries")
    make_append_only("verdicts")
    make_append_only("audit_events")
    make_append_only("policies")
    guard_accounts()
    guard_holds()


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, Characters(), nullable=nullable)


def integer(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, Int64(), autoincrement=False, nullable=nullable)


def references(column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [other], initially="DEFERRED", deferrable=True)


def _journal() -> None:
    op.create_table(
        "accounts",
        integer("id"),
        text("kind"),
        text("owner"),
        text("unit"),
        integer("balance"),
        integer("floor", nullable=True),
        sa.CheckConstraint("floor IS NULL OR balance >= floor", name=op.f("accounts_not_below_floor")),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("owner", "kind", "unit"),
        **STRICT,
    )
    op.create_table(
        "transactions",
        integer("seq"),
        text("id"),
        text("kind"),
        integer("at"),
        integer("recorded_at"),
        text("attempt_id", nullable=True),
        text("command_id", nullable=True),
        text("actor"),
        text("memo"),
        text("body_hash"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        **STRICT,
    )
    op.create_index(None, "transactions", ["at"])
    op.create_index(None, "transactions", ["attempt_id"])
    op.create_table(
        "entries",
        integer("seq"),
        integer("transaction_seq"),
        integer("account_id"),
        integer("at"),
        integer("amount"),
        integer("gpu_ms"),
        references("account_id", "accounts.id"),
        references("transaction_seq", "transactions.seq"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "entries", ["account_id", "at", "amount"])
    op.create_index(None, "entries", ["transaction_seq"])


def _people() -> None:
    op.create_table(
        "engineers",
        text("id"),
        text("subject"),
        text("team"),
        text("tier"),
        text("name"),
        text("roles"),
        sa.PrimaryKeyConstraint("id"),
        **STRICT,
    )
    op.create_index(
        "engineers_subject_once",
        "engineers",
        ["subject"],
        unique=True,
        sqlite_where=sa.text("subject <> ''"),
        postgresql_where=sa.text("subject <> ''"),
    )
    op.create_table(
        "tokens",
        text("token_hash"),
        text("subject"),
        text("roles"),
        integer("expires_at", nullable=True),
        sa.PrimaryKeyConstraint("token_hash"),
        **STRICT,
    )
    op.create_index(None, "tokens", ["subject"])


def _workloads() -> None:
    op.create_table(
        "workloads",
        text("id"),
        text("owner"),
        text("team"),
        text("spec"),
        integer("submitted_at"),
        text("state"),
        text("state_reason"),
        integer("state_since"),
        text("origin"),
        text("namespace"),
        text("job_name"),
        text("job_uid", nullable=True),
        integer("retries"),
        integer("not_before"),
        integer("version"),
        sa.PrimaryKeyConstraint("id"),
        **STRICT,
    )
    op.create_index(None, "workloads", ["job_name", "namespace"])
    op.create_index(None, "workloads", ["owner", "submitted_at"])
    op.create_index(None, "workloads", ["state"])
    op.create_index(None, "workloads", ["submitted_at", "id"])
    op.create_index(None, "workloads", ["team", "submitted_at"])


def _attempts() -> None:
    op.create_table(
        "attempts",
        text("id"),
        text("workload_id"),
        integer("number"),
        text("owner"),
        text("team"),
        text("pool"),
        text("gpu_class"),
        text("priority_class"),
        text("placement"),
        text("pod"),
        integer("weight"),
        integer("class_factor"),
        text("hold_mode"),
        integer("time_limit_ms"),
        integer("launched_at"),
        integer("is_funded"),
        integer("is_borrowed"),
        text("state"),
        integer("started_at", nullable=True),
        integer("stopping_since", nullable=True),
        integer("ended_at", nullable=True),
        text("stop_reason", nullable=True),
        integer("checkpointed_at", nullable=True),
        integer("charged_gpu_ms"),
        integer("charged"),
        integer("grace_seconds"),
        integer("submitted_at", nullable=True),
        references("workload_id", "workloads.id"),
        sa.PrimaryKeyConstraint("id"),
        **STRICT,
    )
    op.create_index(None, "attempts", ["state"])
    op.create_index(None, "attempts", ["workload_id"])


def _pods_and_reservations() -> None:
    op.create_table(
        "pods",
        text("pod_uid"),
        text("attempt_id"),
        text("name"),
        text("node", nullable=True),
        integer("gpus"),
        integer("started_at", nullable=True),
        integer("ended_at", nullable=True),
        integer("billable_until", nullable=True),
        text("end_evidence", nullable=True),
        integer("last_seen_at", nullable=True),
        integer("exit_code", nullable=True),
        references("attempt_id", "attempts.id"),
        sa.PrimaryKeyConstraint("pod_uid"),
        **STRICT,
    )
    op.create_index(None, "pods", ["attempt_id"])
    op.create_table(
        "reservations",
        text("workload_id"),
        text("gpu_class"),
        text("placement"),
        integer("until"),
        integer("is_borrowed"),
        references("workload_id", "workloads.id"),
        sa.PrimaryKeyConstraint("workload_id"),
        **STRICT,
    )


def _allowances() -> None:
    op.create_table(
        "allowances",
        text("id"),
        text("holder"),
        text("source"),
        integer("amount"),
        integer("starts_at"),
        integer("expires_at", nullable=True),
        integer("granted_at"),
        text("unit"),
        text("gpu_classes", nullable=True),
        text("kinds", nullable=True),
        text("purposes"),
        text("period"),
        integer("overdraft"),
        sa.PrimaryKeyConstraint("id"),
        **STRICT,
    )
    op.create_index(None, "allowances", ["expires_at"])
    op.create_index(None, "allowances", ["holder"])
    op.create_table(
        "holds",
        text("id"),
        text("workload_id"),
        text("allowance_id"),
        integer("order"),
        integer("amount"),
        integer("opened_at"),
        text("attempt_id", nullable=True),
        integer("charged"),
        text("state"),
        integer("resolved_at", nullable=True),
        sa.CheckConstraint("charged >= 0 AND charged <= amount", name=op.f("holds_charged_within_amount")),
        references("allowance_id", "allowances.id"),
        references("attempt_id", "attempts.id"),
        references("workload_id", "workloads.id"),
        sa.PrimaryKeyConstraint("id"),
        **STRICT,
    )
    op.create_index(None, "holds", ["attempt_id"])
    op.create_index(None, "holds", ["state"])
    op.create_index(None, "holds", ["workload_id"])


def _records() -> None:
    op.create_table(
        "verdicts",
        integer("seq"),
        text("workload_id"),
        integer("at"),
        text("reason"),
        text("evidence"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "verdicts", ["workload_id", "seq"])
    op.create_table(
        "audit_events",
        integer("seq"),
        integer("at"),
        text("actor"),
        text("role"),
        text("verb"),
        text("target"),
        text("request_id"),
        text("before"),
        text("after"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "audit_events", ["target", "seq"])
    op.create_table(
        "commands",
        text("id"),
        text("caller"),
        text("body_hash"),
        text("answer"),
        integer("at"),
        sa.PrimaryKeyConstraint("id"),
        **STRICT,
    )
    op.create_table(
        "policies",
        integer("seq"),
        text("hash"),
        text("name"),
        text("text"),
        integer("applied_at"),
        text("applied_by"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )


def _control() -> None:
    op.create_table(
        "pauses", text("brake"), text("by"), text("why"), integer("since"), sa.PrimaryKeyConstraint("brake"), **STRICT
    )
    op.create_table(
        "stops",
        integer("seq"),
        text("brake"),
        integer("at"),
        integer("gpus"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "stops", ["at"])
    op.create_table(
        "sandboxes",
        text("workload_id"),
        text("owner"),
        text("key"),
        integer("extensions"),
        integer("active_at", nullable=True),
        references("workload_id", "workloads.id"),
        sa.PrimaryKeyConstraint("workload_id"),
        **STRICT,
    )
    op.create_table("settings", text("key"), text("value"), sa.PrimaryKeyConstraint("key"), **STRICT)
