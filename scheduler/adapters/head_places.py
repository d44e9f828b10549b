"""Several places of published heads as one: a folder on this machine, and a bucket on somebody else's."""

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.adapters.head_folder import require_same
from scheduler.finance.proving.ports import HeadArchive


@dataclass(frozen=True, slots=True)
class HeadPlaces:
    """A HeadArchive. What is not in all of them is not there, so that the next round puts it where it is missing."""

    places: Sequence[HeadArchive]

    def put(self, name: str, content: bytes) -> None:
        for place in self.places:
            place.put(name, content)

    def get(self, name: str) -> bytes | None:
        """Raises Conflict (`head-rewritten`) where two of them differ."""
        found = [place.get(name) for place in self.places]
        first = found[0]
        if first is None or None in found:
            return None
        for content in found[1:]:
            require_same(name, content or b"", first)
        return first

    def names(self) -> list[str]:
        """Those that any of them has: one that is missing from another is found when it is read."""
        return sorted({name for place in self.places for name in place.names()})
