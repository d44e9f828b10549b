"""What proving the journal needs of the outside, as Protocols: a signer, a place for heads, and the rows themselves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from scheduler.domain.units import Instant
from scheduler.finance.findings import Finding
from scheduler.finance.relations import Relation, Values


class Signer(Protocol):
    """The company's signing key (Ed25519). The key itself never leaves it."""

    @property
    def public_key(self) -> bytes:
        """Its 32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes: ...


class HeadArchive(Protocol):
    """A place outside the database that takes a file once: a directory, or a bucket that is written once."""

    def put(self, name: str, content: bytes) -> None:
        """Write the file, whole or not at all. The same content again is no error; another is a Conflict."""
        ...

    def get(self, name: str) -> bytes | None: ...

    def names(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class PublishedHead:
    """A head as the database remembers it. `waiting` are the frontiers of its trees, as JSON."""

    seq: int
    at: Instant
    body: str
    waiting: str


class HeadBook(Protocol):
    """The heads that were made, and the rows of the trees that they are made over."""

    def add(self, head: PublishedHead) -> None:
        """Raises Conflict (`stale`) where another process made a head of that number meanwhile."""
        ...

    def last(self) -> PublishedHead | None: ...

    def get(self, number: int) -> PublishedHead | None: ...

    def rows(self, tree: Relation, after: int, until: int | None = None) -> Iterator[Sequence[Values]]:
        """The rows of a tree whose key is greater than `after` and at most `until`, in order, in pieces."""
        ...


class Evidence(Protocol):
    """A database as somebody handed it over: of whatever schema, with whatever in it."""

    def shape(self, relations: Sequence[Relation]) -> list[Finding]:
        """What of the schema is not as it was made: tables, columns, their types, triggers."""
        ...

    def rows(self, relation: Relation) -> Iterator[Sequence[Values]]:
        """All rows by their key, in pieces: the relation's columns, then those that may change.

        What is not there is read as NULL. Raises Unreadable where it cannot be read at all.
        """
        ...

    def heads(self) -> Iterator[Values]:
        """(seq, at, body, waiting) of every head that the database remembers. Raises Unreadable."""
        ...
