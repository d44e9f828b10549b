"""Allowances as they were awarded, who froze them, and the holds on them."""

from sqlalchemy import CheckConstraint, Index

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of


class AllowanceRow(Row, table=True):
    """`holder` is `kind:id`. The sets are JSON arrays; NULL means any."""

    __tablename__ = "allowances"
    __table_args__ = (
        Index(None, "holder"),
        Index(None, "expires_at"),
        STRICT,
    )
    id: str = columns.text(primary_key=True)
    holder: str = columns.text()
    source: str = columns.text()
    amount: int = columns.integer()
    starts_at: int = columns.integer()
    expires_at: int | None = columns.integer()
    granted_at: int = columns.integer()
    unit: str = columns.text()
    gpu_classes: str | None = columns.text()
    kinds: str | None = columns.text()
    purposes: str = columns.text()
    period: str = columns.text()
    overdraft: int = columns.integer()
    vesting: str | None = columns.text()
    rollover: str | None = columns.text()
    kept_terms: str | None = columns.text()


class FreezeRow(Row, table=True):
    """One freeze of an allowance, or its end. The latest of an allowance holds. Append-only."""

    __tablename__ = "freezes"
    __table_args__ = (Index(None, "allowance_id", "seq"), STRICT)
    seq: int = columns.sequence()
    allowance_id: str = columns.text()
    is_frozen: int = columns.integer()
    at: int = columns.integer()
    by: str = columns.text()
    reason: str = columns.text()
    request_id: str = columns.text()


class HoldRow(Row, table=True):
    """A trigger keeps a resolved hold as it is; the check keeps its charges within it. `draw` is JSON: how it is charged
    where that is not standard time at its attempt's terms."""

    __tablename__ = "holds"
    __table_args__ = (
        CheckConstraint("charged >= 0 AND charged <= amount", name="charged_within_amount"),
        Index(None, "attempt_id"),
        Index(None, "workload_id"),
        Index(None, "state"),
        STRICT,
    )
    id: str = columns.text(primary_key=True)
    workload_id: str = columns.text(references="workloads.id")
    allowance_id: str = columns.text(references="allowances.id")
    order: int = columns.integer()
    amount: int = columns.integer()
    opened_at: int = columns.integer()
    attempt_id: str | None = columns.text(references="attempts.id")
    charged: int = columns.integer()
    state: str = columns.text()
    resolved_at: int | None = columns.integer()
    draw: str | None = columns.text()


allowances = table_of(AllowanceRow)
freezes = table_of(FreezeRow)
holds = table_of(HoldRow)
