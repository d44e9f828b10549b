"""What nodes offered, and since when: as it changed."""

from sqlalchemy import Index

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of


class NodeSpanRow(Row, table=True):
    """`ends_at` is NULL while it lasts; written once, as is nothing else of a row."""

    __tablename__ = "node_spans"
    __table_args__ = (Index(None, "ends_at"), STRICT)
    node: str = columns.text(primary_key=True)
    starts_at: int = columns.sequence()
    ends_at: int | None = columns.integer()
    gpu_class: str | None = columns.text()
    gpus: int = columns.integer()
    outside_gpus: int = columns.integer()
    accepts_work: int = columns.integer()


node_spans = table_of(NodeSpanRow)
