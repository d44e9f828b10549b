"""What agents send, the hours it adds up to, and what the idle rules make of it.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

from scheduler.adapters.sql.migrations.triggers import make_append_only
from scheduler.adapters.sql.migrations.versions.v0001_first import STRICT, integer, references, text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CLUSTERED = {**STRICT, "sqlite_with_rowid": False}


def upgrade() -> None:
    _devices()
    _windows()
    _hours()
    _refusals()
    _idleness()
    make_append_only("idle_decisions")


def _devices() -> None:
    op.create_table(
        "inventories",
        text("node"),
        text("boot_id"),
        integer("taken_at"),
        text("sensor_state"),
        text("process_view"),
        text("driver_version", nullable=True),
        text("nvml_version", nullable=True),
        text("devices"),
        integer("unidentified_devices"),
        text("driver_error", nullable=True),
        text("agent"),
        sa.PrimaryKeyConstraint("node"),
        **STRICT,
    )
    op.create_table(
        "gpus",
        integer("id"),
        text("gpu_uuid"),
        text("node", nullable=True),
        text("model", nullable=True),
        text("boot_id", nullable=True),
        integer("sequence", nullable=True),
        integer("end", nullable=True),
        text("attempt_id", nullable=True),
        integer("idle_milliwatts", nullable=True),
        integer("has_power"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("gpu_uuid"),
        **STRICT,
    )
    op.create_index(None, "gpus", ["node"])


def _windows() -> None:
    op.create_table(
        "gpu_windows",
        integer("gpu_id"),
        integer("start"),
        integer("end"),
        integer("sequence"),
        text("state"),
        text("attempt_id", nullable=True),
        integer("process_count", nullable=True),
        integer("covered_ms"),
        *_readings(),
        sa.PrimaryKeyConstraint("gpu_id", "start"),
        **CLUSTERED,
    )


def _hours() -> None:
    op.create_table(
        "gpu_hours",
        integer("gpu_id"),
        integer("hour"),
        text("attempt_id"),
        text("node"),
        integer("windows"),
        integer("covered_ms"),
        integer("active_ms"),
        integer("idle_held_ms"),
        integer("hung_ms"),
        integer("unknown_ms"),
        *_readings(),
        sa.PrimaryKeyConstraint("gpu_id", "hour", "attempt_id"),
        **CLUSTERED,
    )
    op.create_index(None, "gpu_hours", ["attempt_id"])
    op.create_index(None, "gpu_hours", ["hour"])


def _readings() -> list[sa.Column[int]]:
    return [
        integer("utilization_ms"),
        integer("percent_ms"),
        integer("percent_max", nullable=True),
        integer("sm_ms"),
        integer("sm_permille_ms"),
        integer("energy_ms"),
        integer("millijoules"),
        integer("milliwatts_max", nullable=True),
        integer("memory_bytes_max", nullable=True),
    ]


def _refusals() -> None:
    op.create_table(
        "sample_refusals",
        text("node"),
        text("gpu_uuid"),
        text("code"),
        integer("count"),
        integer("first_at"),
        integer("last_at"),
        text("detail"),
        sa.PrimaryKeyConstraint("node", "gpu_uuid", "code"),
        **STRICT,
    )


def _idleness() -> None:
    op.create_table(
        "idle_watches",
        text("attempt_id"),
        integer("judged_until"),
        text("clock"),
        sa.PrimaryKeyConstraint("attempt_id"),
        **STRICT,
    )
    op.create_table(
        "idle_exemptions",
        text("workload_id"),
        text("why"),
        text("by"),
        integer("since"),
        integer("expires_at"),
        references("workload_id", "workloads.id"),
        sa.PrimaryKeyConstraint("workload_id"),
        **STRICT,
    )
    op.create_table(
        "idle_decisions",
        integer("seq"),
        text("attempt_id"),
        text("workload_id"),
        integer("at"),
        integer("since"),
        integer("rested_ms"),
        text("action"),
        integer("is_taken"),
        text("hindrance"),
        integer("hours_back"),
        text("curve"),
        references("attempt_id", "attempts.id"),
        references("workload_id", "workloads.id"),
        sa.PrimaryKeyConstraint("seq"),
        **STRICT,
    )
    op.create_index(None, "idle_decisions", ["attempt_id"])
    op.create_index(None, "idle_decisions", ["workload_id"])
