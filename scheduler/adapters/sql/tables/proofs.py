"""What proves the rest: seals of rows that change, and the heads that were published; and who was given which role."""

from sqlalchemy import Index

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of


class SealRow(Row, table=True):
    """Append-only. The digest of a row as it was written: of several on one row, the last counts."""

    __tablename__ = "seals"
    __table_args__ = STRICT
    seq: int = columns.sequence()
    relation: str = columns.text()
    key: str = columns.text()
    digest: str = columns.text()


class HeadRow(Row, table=True):
    """Append-only. `body` is the text that was published, `waiting` the frontiers of the trees, JSON both."""

    __tablename__ = "heads"
    __table_args__ = STRICT
    seq: int = columns.sequence()
    at: int = columns.integer()
    body: str = columns.text()
    waiting: str = columns.text()


class RoleChangeRow(Row, table=True):
    """Append-only. `credential` is the directory, or a token by the beginning of its hash."""

    __tablename__ = "role_changes"
    __table_args__ = (Index(None, "principal", "seq"), STRICT)
    seq: int = columns.sequence()
    at: int = columns.integer()
    principal: str = columns.text()
    credential: str = columns.text()
    role: str = columns.text()
    is_granted: int = columns.integer()
    by: str = columns.text()
    request_id: str = columns.text()


seals = table_of(SealRow)
heads = table_of(HeadRow)
role_changes = table_of(RoleChangeRow)
