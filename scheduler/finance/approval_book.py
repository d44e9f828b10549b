"""The store's book of proposals and what became of them, as a Protocol: part of `ports.Books`."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from scheduler.domain.approvals import Approval, Move, Proposal
from scheduler.domain.people import Engineer
from scheduler.domain.units import EngineerId


class ApprovalBook(Protocol):
    """Proposals and their steps, append-only: nothing of either ever changes. Names stand beside, erasable."""

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

    def name_people(self, proposal_id: str, people: Sequence[Engineer]) -> None:
        """Keep the subjects and names of a people file that waits, outside of everything that is proven."""
        ...

    def people_of(self, proposal_id: str) -> Mapping[EngineerId, tuple[str, str]]:
        """Subject and name of each, for as long as they are kept."""
        ...

    def forget_people(self, proposal_id: str) -> None: ...
