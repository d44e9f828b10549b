"""Verdicts as they fell: append-only."""

from sqlalchemy import Index

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of


class VerdictRow(Row, table=True):
    """`evidence` is JSON."""

    __tablename__ = "verdicts"
    __table_args__ = (Index(None, "workload_id", "seq"), STRICT)
    seq: int = columns.sequence()
    workload_id: str = columns.text()
    at: int = columns.integer()
    reason: str = columns.text()
    evidence: str = columns.text()


verdicts = table_of(VerdictRow)
