"""The store's book of proposals and what became of them, as a Protocol: part of `ports.Books`."""

from typing import Protocol

from scheduler.domain.approvals import Approval, Move, Proposal


class ApprovalBook(Protocol):
    """Proposals and their steps. Append-only: nothing of either ever changes."""

    def add(self, proposal: Proposal) -> None:
        """`seq` is given by the book."""
        ...

    def move(self, move: Move) -> None:
        """`seq` is given by the book."""
        ...

    def get(self, proposal_id: str) -> Approval | None: ...

    def waiting(self) -> list[Approval]:
        """Those that nobody decided or withdrew, oldest first."""
        ...

    def latest(self, *, asked_by: str | None = None, limit: int = 100) -> list[Approval]:
        """Newest first, decided ones too."""
        ...
