"""Where price books are kept, as a Protocol."""

from typing import Protocol

from scheduler.domain.records import PriceBookVersion


class PriceShelf(Protocol):
    """Price books as they were applied: none is ever changed."""

    def add(self, version: PriceBookVersion) -> None:
        """`seq` is given by the book."""
        ...

    def current(self) -> PriceBookVersion | None: ...

    def versions(self, limit: int = 50) -> list[PriceBookVersion]:
        """Newest first."""
        ...
