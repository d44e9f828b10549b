"""What a verification can find, and its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.domain.units import Instant


class FindingCode(StrEnum):
    """Stable codes, the gravest first: the first row that is named is one of the gravest there are."""

    ROW_CHANGED = "row-changed"
    ROW_DELETED = "row-deleted"
    ROW_INSERTED = "row-inserted"
    ROW_UNSEALED = "row-unsealed"
    BALANCE_DIFFERS = "balance-differs"
    FLOOR_DIFFERS = "floor-differs"
    UNBALANCED = "unbalanced"
    HEAD_MISSING = "head-missing"
    HEAD_FORGED = "head-forged"
    HEAD_CHANGED = "head-changed"
    LEAVES_CHANGED = "leaves-changed"
    NO_HEADS = "no-heads"
    SCHEMA_CHANGED = "schema-changed"
    GUARD_MISSING = "guard-missing"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"

    @property
    def gravity(self) -> int:
        """Rows that differ come before sums that differ, because the one follows from the other."""
        order = list(FindingCode)
        return 0 if order.index(self) <= order.index(FindingCode.ROW_UNSEALED) else 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is off. `row` is the key of the row it is about, None where it is about no single row."""

    code: FindingCode
    detail: str
    table: str = ""
    row: int | str | None = None
    name: str = ""
    """What people know the row by, such as a transaction's id."""
    head: int | None = None


@dataclass(frozen=True, slots=True)
class TreeReport:
    """`anchored` rows are under the last published head, with the seal that counts where they are sealed; `unanchored` came
    after it, or changed after it, and are proven by nothing yet."""

    rows: int = 0
    anchored: int = 0

    @property
    def unanchored(self) -> int:
        return max(0, self.rows - self.anchored)


@dataclass(frozen=True, slots=True)
class Verification:
    """`findings` are at most FINDINGS_MAX, `found` counts all. `key` is the public key in hex that signed the heads;
    `is_pinned` where the verifier gave it, instead of taking it from the first head."""

    findings: Sequence[Finding]
    found: int
    heads: int
    last_head_at: Instant | None
    key: str
    is_pinned: bool
    keys: Sequence[tuple[int, str]] = ()
    """Each key that signed heads, with the first of its heads: later ones were endorsed by those before them."""
    trees: Mapping[str, TreeReport] = field(default_factory=dict)
    first_bad_row: Finding | None = None

    @property
    def is_ok(self) -> bool:
        return self.found == 0


FINDINGS_MAX = 1_000


class Findings:
    """Collects findings: all are counted, the first of each table kept, and the gravest first row remembered."""

    def __init__(self, order: Sequence[str]) -> None:
        """`order` of the tables: which of two rows is the first."""
        self._order = {name: place for place, name in enumerate(order)}
        self._first: tuple[int, int, int, str] | None = None
        self.kept: list[Finding] = []
        self.count = 0
        self.first_bad_row: Finding | None = None

    def add(self, finding: Finding) -> None:
        self.count += 1
        if len(self.kept) < FINDINGS_MAX:
            self.kept.append(finding)
        if finding.row is None:
            return
        number = finding.row if isinstance(finding.row, int) else 0
        place = self._order.get(finding.table, len(self._order))
        rank = (finding.code.gravity, place, number, str(finding.row))
        if self._first is None or rank < self._first:
            self._first, self.first_bad_row = rank, finding

    def in_order(self) -> list[Finding]:
        """The gravest first, and of one table the lowest row."""
        return sorted(
            self.kept,
            key=lambda f: (
                f.code.gravity if f.row is not None else 2,
                self._order.get(f.table, len(self._order)),
                f.row if isinstance(f.row, int) else 0,
            ),
        )
