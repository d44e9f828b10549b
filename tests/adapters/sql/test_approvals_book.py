"""Proposals and their one decision, as they are kept."""

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.approvals import Approval, ProposalKind
from scheduler.domain.units import Instant
from tests.adapters.sql.values import AWARD, MOVE, PROPOSAL

GRANT = replace(
    PROPOSAL, id="p-2", kind=ProposalKind.GRANT, change=None, award=AWARD, asked_by="e-3", asked_at=Instant(4)
)


def test_a_proposal_comes_back_as_it_was_with_its_decision(store: SqlStore) -> None:
    with store.writing() as books:
        books.approvals.add(PROPOSAL)
        books.approvals.add(GRANT)
        books.approvals.move(MOVE)
    decided = Approval(replace(PROPOSAL, seq=1), (replace(MOVE, seq=1),))
    waiting = Approval(replace(GRANT, seq=2))
    with store.reading() as books:
        assert books.approvals.get("p-1") == decided
        assert books.approvals.get("p-3") is None
        assert books.approvals.waiting() == [waiting]
        assert books.approvals.latest() == [waiting, decided]
        assert books.approvals.latest(asked_by="e-1") == [decided]


def test_a_proposal_is_decided_once(store: SqlStore) -> None:
    with store.writing() as books:
        books.approvals.add(PROPOSAL)
        books.approvals.move(MOVE)
    with pytest.raises(IntegrityError), store.writing() as books:
        books.approvals.move(replace(MOVE, by="e-9"))
