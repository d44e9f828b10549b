"""People: the one place of names and subjects, erasable; and the tokens that prove who calls."""

from sqlalchemy import Index, text

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of


class EngineerRow(Row, table=True):
    """`subject` and `name` are empty once the person is forgotten. `roles` is a JSON array."""

    __tablename__ = "engineers"
    __table_args__ = (
        Index(
            "engineers_subject_once",
            "subject",
            unique=True,
            sqlite_where=text("subject <> ''"),
            postgresql_where=text("subject <> ''"),
        ),
        STRICT,
    )
    id: str = columns.text(primary_key=True)
    subject: str = columns.text()
    team: str = columns.text()
    tier: str = columns.text()
    name: str = columns.text()
    roles: str = columns.text()


class TokenRow(Row, table=True):
    """The hash alone of a token is kept. `roles` is a JSON array."""

    __tablename__ = "tokens"
    __table_args__ = (Index(None, "subject"), STRICT)
    token_hash: str = columns.text(primary_key=True)
    subject: str = columns.text()
    roles: str = columns.text()
    expires_at: int | None = columns.integer()
    issued_at: int | None = columns.integer()
    issued_by: str | None = columns.text()


engineers = table_of(EngineerRow)
tokens = table_of(TokenRow)
