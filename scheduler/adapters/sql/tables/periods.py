"""Periods as they were closed, and what their reconciliation found and became of it. All append-only."""

from sqlalchemy import Index

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of


class PeriodClosingRow(Row, table=True):
    """One step of a close. A trigger refuses postings dated inside a period whose step is `closed`. `sums` is JSON."""

    __tablename__ = "period_closings"
    __table_args__ = (Index(None, "state", "ends_at"), STRICT)
    seq: int = columns.sequence()
    period: str = columns.text()
    starts_at: int = columns.integer()
    ends_at: int = columns.integer()
    state: str = columns.text()
    at: int = columns.integer()
    by: str = columns.text()
    role: str = columns.text()
    request_id: str = columns.text()
    sums: str = columns.text()


class DifferenceRow(Row, table=True):
    """A difference as it was found when its period was closed."""

    __tablename__ = "differences"
    __table_args__ = (Index(None, "period"), STRICT)
    seq: int = columns.sequence()
    id: str = columns.text()
    period: str = columns.text()
    kind: str = columns.text()
    subject: str = columns.text()
    gpu_ms: int = columns.integer()
    detail: str = columns.text()
    at: int = columns.integer()


class SettlementRow(Row, table=True):
    """An owner or a write-off for a difference of so many GPU-milliseconds: one that grows needs another."""

    __tablename__ = "settlements"
    __table_args__ = (Index(None, "difference_id"), STRICT)
    seq: int = columns.sequence()
    difference_id: str = columns.text()
    gpu_ms: int = columns.integer()
    kind: str = columns.text()
    owner: str = columns.text()
    reason: str = columns.text()
    by: str = columns.text()
    at: int = columns.integer()
    request_id: str = columns.text()


period_closings = table_of(PeriodClosingRow)
differences = table_of(DifferenceRow)
settlements = table_of(SettlementRow)
