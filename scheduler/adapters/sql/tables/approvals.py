"""Proposals and their steps, both append-only; and the names of people files that wait, which can be erased."""

from sqlalchemy import Index

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of


class ProposalRow(Row, table=True):
    """`award` and `change` are JSON, NULL where it is of the other sort; `text` is a file as it is."""

    __tablename__ = "proposals"
    __table_args__ = (Index(None, "id", unique=True), Index(None, "asked_by"), STRICT)
    seq: int = columns.sequence()
    id: str = columns.text()
    hash: str = columns.text()
    kind: str = columns.text()
    asked_at: int = columns.integer()
    asked_by: str = columns.text()
    role: str = columns.text()
    reason: str = columns.text()
    request_id: str = columns.text()
    award: str | None = columns.text()
    change: str | None = columns.text()
    name: str = columns.text()
    text: str = columns.text()
    base: str = columns.text()
    corrects: int = columns.integer()


class ProposalMoveRow(Row, table=True):
    """One step. A proposal without any waits."""

    __tablename__ = "proposal_moves"
    __table_args__ = (Index(None, "proposal_id", unique=True), STRICT)
    seq: int = columns.sequence()
    proposal_id: str = columns.text()
    state: str = columns.text()
    at: int = columns.integer()
    by: str = columns.text()
    role: str = columns.text()
    reason: str = columns.text()
    request_id: str = columns.text()
    change: str | None = columns.text()
    made: str = columns.text()


class ProposedPersonRow(Row, table=True):
    """A person of a people file that waits. Gone as soon as it is decided."""

    __tablename__ = "proposed_people"
    __table_args__ = (STRICT,)
    proposal_id: str = columns.text(primary_key=True)
    engineer_id: str = columns.text(primary_key=True)
    subject: str = columns.text()
    name: str = columns.text()


proposals = table_of(ProposalRow)
proposal_moves = table_of(ProposalMoveRow)
proposed_people = table_of(ProposedPersonRow)
