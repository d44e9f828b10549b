"""Tokens that a gateway holds for answers in the making."""

from sqlalchemy import CheckConstraint, Index

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of


class TokenHoldRow(Row, table=True):
    """`shares` is JSON. What moved is in the journal; this is what a gateway may still do."""

    __tablename__ = "token_holds"
    __table_args__ = (
        CheckConstraint("used >= 0", name="used_from_nothing"),
        Index(None, "state", "expires_at"),
        STRICT,
    )
    id: str = columns.text(primary_key=True)
    owner: str = columns.text()
    model: str = columns.text()
    project: str | None = columns.text()
    shares: str = columns.text()
    opened_at: int = columns.integer()
    expires_at: int = columns.integer()
    by: str = columns.text()
    used: int = columns.integer()
    state: str = columns.text()
    resolved_at: int | None = columns.integer()
    team: str | None = columns.text()


token_holds = table_of(TokenHoldRow)
