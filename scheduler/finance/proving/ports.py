"""What proofs and periods need of the outside, as Protocols: a signer, a place for heads, books, and rows as evidence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from scheduler.domain.records import PodRun
from scheduler.domain.units import AttemptId, Instant, NodeName
from scheduler.finance.proving.endorsement import Endorsement
from scheduler.finance.proving.findings import Finding
from scheduler.finance.proving.relations import Relation, Values
from scheduler.finance.reconciling.closing import Closing
from scheduler.finance.reconciling.reconciliation import Difference, Settlement


class Signer(Protocol):
    """The company's signing key (Ed25519). The key itself never leaves it."""

    @property
    def public_key(self) -> bytes:
        """Its 32 bytes."""
        ...

    @property
    def endorsements(self) -> Sequence[Endorsement]:
        """What leads to it from the keys that the company signed with before, oldest first."""
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


@dataclass(frozen=True, slots=True)
class SeenUse:
    """What agents saw of one GPU for one attempt, or for nobody: covered and active, in milliseconds, in that many
    windows."""

    gpu: str
    node: NodeName
    attempt_id: AttemptId | None
    covered_ms: int
    active_ms: int
    windows: int = 0

    @property
    def window_ms(self) -> int:
        """How long a window was, in the mean."""
        return -(-self.covered_ms // self.windows) if self.windows else 0


class Booked(NamedTuple):
    """The booking that an attempt is or runs inside, and until when that pays."""

    booking: AttemptId
    until: Instant


class PeriodBook(Protocol):
    """Steps of closing, differences and what became of them, and what a reconciliation compares. Append-only."""

    def add_step(self, step: Closing) -> Closing:
        """The step as it was kept, with its number."""
        ...

    def steps(self) -> list[Closing]:
        """All, in the order in which they were taken."""
        ...

    def closed(self) -> list[tuple[Instant, Instant]]:
        """The periods inside which nothing is dated any more."""
        ...

    def add_differences(self, found: Sequence[Difference], at: Instant) -> None: ...

    def add_settlements(self, made: Sequence[Settlement]) -> None: ...

    def settlements(self, period: str) -> list[Settlement]: ...

    def charged(self, starts_at: Instant, ends_at: Instant) -> Mapping[AttemptId, int]:
        """Physical GPU-milliseconds that the journal's charges dated inside add up to."""
        ...

    def pods(self, starts_at: Instant, ends_at: Instant) -> list[PodRun]:
        """Those that ran at some time inside."""
        ...

    def booked(self, starts_at: Instant, ends_at: Instant) -> Mapping[AttemptId, Booked]:
        """Of each booking whose window reaches into that time, its own attempt, and those that ran inside."""
        ...

    def seen(self, starts_at: Instant, ends_at: Instant) -> list[SeenUse]: ...


class Evidence(Protocol):
    """A database as somebody handed it over: of whatever schema, with whatever in it."""

    def shape(self, relations: Sequence[Relation]) -> list[Finding]:
        """What of the schema is not as it was made: tables, columns, their types, triggers."""
        ...

    def damage(self) -> list[Finding]:
        """What of the file does not agree with itself, such as an index with rows that its table has not."""
        ...

    def rows(self, relation: Relation) -> Iterator[Sequence[Values]]:
        """All rows, in pieces, those of a tree by their key: the relation's columns, then those that may change.

        What is not there is read as NULL. Raises Unreadable where it cannot be read at all.
        """
        ...

    def heads(self) -> Iterator[Values]:
        """(seq, at, body, waiting) of every head that the database remembers. Raises Unreadable."""
        ...
