"""Proposals and what became of them, in SQL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, select

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.querying import insert_all, next_number
from scheduler.adapters.sql.tables.approvals import proposal_moves, proposals, proposed_people
from scheduler.domain.approvals import Approval, Move, Proposal
from scheduler.domain.people import Engineer
from scheduler.domain.units import EngineerId

_PROPOSAL = RowCodec(Proposal, proposals)
_MOVE = RowCodec(Move, proposal_moves)

# One step at most decides a proposal (the index sees to it), so that each comes in one row.
_WITH_MOVES = select(*_PROPOSAL.columns, *_MOVE.columns).outerjoin(
    proposal_moves, proposal_moves.c.proposal_id == proposals.c.id
)


@dataclass(frozen=True, slots=True)
class SqlApprovals:
    """An ApprovalBook."""

    connection: Connection

    def add(self, proposal: Proposal) -> None:
        seq = next_number(self.connection, proposals.c.seq)
        insert_all(self.connection, proposals, [_PROPOSAL.write(proposal) | {"seq": seq}])

    def move(self, move: Move) -> None:
        seq = next_number(self.connection, proposal_moves.c.seq)
        insert_all(self.connection, proposal_moves, [_MOVE.write(move) | {"seq": seq}])

    def get(self, proposal_id: str) -> Approval | None:
        found = _read(self.connection.execute(_WITH_MOVES.where(proposals.c.id == proposal_id)))
        return found[0] if found else None

    def waiting(self) -> list[Approval]:
        statement = _WITH_MOVES.where(proposal_moves.c.seq.is_(None)).order_by(proposals.c.seq)
        return _read(self.connection.execute(statement))

    def latest(self, *, asked_by: str | None = None, limit: int = 100) -> list[Approval]:
        statement = _WITH_MOVES.order_by(proposals.c.seq.desc()).limit(limit)
        if asked_by is not None:
            statement = statement.where(proposals.c.asked_by == asked_by)
        return _read(self.connection.execute(statement))

    def name_people(self, proposal_id: str, people: Sequence[Engineer]) -> None:
        rows = [
            {"proposal_id": proposal_id, "engineer_id": each.id, "subject": each.subject, "name": each.name}
            for each in people
        ]
        insert_all(self.connection, proposed_people, rows)

    def people_of(self, proposal_id: str) -> dict[EngineerId, tuple[str, str]]:
        statement = select(proposed_people).where(proposed_people.c.proposal_id == proposal_id)
        return {EngineerId(row.engineer_id): (row.subject, row.name) for row in self.connection.execute(statement)}

    def forget_people(self, proposal_id: str) -> None:
        self.connection.execute(delete(proposed_people).where(proposed_people.c.proposal_id == proposal_id))


def _read(rows: Iterable[Row[*tuple[Any, ...]]]) -> list[Approval]:
    width = len(_PROPOSAL.columns)
    return [Approval(_PROPOSAL.read(row[:width]), _moves(row[width:])) for row in map(tuple, rows)]


def _moves(row: Sequence[Any]) -> tuple[Move, ...]:
    is_decided = row[0] is not None
    return (_MOVE.read(row),) if is_decided else ()
