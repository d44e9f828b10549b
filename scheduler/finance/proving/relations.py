"""What of the database is proven, and as which bytes: the tables of the journal, and the rows that it rests on.

A *tree* is an append-only table: its rows, in the order of `seq`, are the leaves of a Merkle tree. A *sealed* table
has rows that change (a hold until it is resolved). Each is sealed whenever it is written: its digest becomes a row of
`seals`, which is a tree, and the last counts. So every value that money rests on is inside a leaf, at once or by a seal.

The canonical form of a row: its table's name and then its columns, in the order below, each as JSON on a line of its
own; NULLs at the end are left out. A column that is added later goes to the end and is nullable: the rows of before
keep their bytes. Names of people stand in none of these tables (docs/finance.md).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from scheduler.finance.proving.merkle import LEAF

Values = Sequence[object]
"""A row's values in the order of its relation's columns, as the database has them: of whatever type."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table and its columns, the first of which is its key."""

    name: str
    columns: tuple[str, ...]
    shown: str = ""
    """The column that people know a row by, where the key is but a number."""
    may_change: tuple[str, ...] = ()
    """Columns outside the canonical form: what they say is checked against the rest."""

    @property
    def key(self) -> str:
        return self.columns[0]


def _relation(name: str, columns: str, shown: str = "", may_change: str = "") -> Relation:
    return Relation(name, tuple(columns.split()), shown, tuple(may_change.split()))


TRANSACTIONS = _relation(
    "transactions",
    "seq id kind at recorded_at attempt_id command_id actor memo body_hash corrects_at",
    shown="id",
)
ENTRIES = _relation("entries", "seq transaction_seq account_id at amount gpu_ms")
ACCOUNTS = _relation("accounts", "id kind owner unit", shown="owner", may_change="balance floor")
SEALS = _relation("seals", "seq relation key digest", shown="key")

TREES: tuple[Relation, ...] = (
    TRANSACTIONS,
    ENTRIES,
    ACCOUNTS,
    SEALS,
    _relation("audit_events", "seq at actor role verb target request_id before after", shown="target"),
    _relation("policies", "seq hash name text applied_at applied_by", shown="hash"),
    _relation("price_books", "seq hash name text applied_at applied_by", shown="hash"),
    _relation("role_changes", "seq at principal credential role is_granted by request_id", shown="principal"),
    _relation("period_closings", "seq period starts_at ends_at state at by role request_id sums", shown="period"),
    _relation("differences", "seq id period kind subject gpu_ms detail at", shown="id"),
    _relation(
        "proposals",
        "seq id hash kind asked_at asked_by role reason request_id award change name text base corrects",
        shown="hash",
    ),
    _relation(
        "proposal_moves", "seq proposal_id state at by role reason request_id change made", shown="proposal_id"
    ),
    _relation("settlements", "seq difference_id gpu_ms kind owner reason by at request_id", shown="difference_id"),
    _relation("freezes", "seq allowance_id is_frozen at by reason request_id", shown="allowance_id"),
)
"""Append-only, numbered from 1 without gaps: the row of `seq` n is leaf n − 1. `accounts` is numbered by its id."""

SEALED: tuple[Relation, ...] = (
    _relation(
        "allowances",
        "id holder source amount starts_at expires_at granted_at unit gpu_classes kinds purposes period overdraft "
        "vesting rollover kept_terms",
    ),
    _relation(
        "holds",
        "id workload_id allowance_id order amount opened_at attempt_id charged state resolved_at draw",
    ),
    _relation(
        "attempts",
        "id workload_id number owner team pool gpu_class priority_class placement pod weight class_factor hold_mode "
        "time_limit_ms launched_at is_funded is_borrowed state started_at stopping_since ended_at stop_reason "
        "checkpointed_at charged_gpu_ms charged grace_seconds submitted_at booking_id booked_for elastic leaving "
        "minimum_runtime_ms past_sizes",
    ),
    _relation(
        "pods",
        "pod_uid attempt_id name node gpus started_at ended_at billable_until end_evidence last_seen_at exit_code",
    ),
    _relation(
        "workloads",
        "id owner team spec submitted_at state state_reason state_since origin namespace job_name job_uid retries "
        "not_before version eligible_at ages_from",
    ),
    _relation(
        "token_holds",
        "id owner model project shares opened_at expires_at by used state resolved_at team",
    ),
)
"""Rows that are sealed whenever they are written: see `adapters/sql/sealing.py`."""


def canonical_rows(relation: Relation, rows: Sequence[Values]) -> list[bytes]:
    """The canonical form of each row. Whatever a value is, it has one form, and values of two types have two."""
    head = _head(relation)
    return [head + body for body in _bodies(rows)]


def leaf_hashes(relation: Relation, rows: Sequence[Values]) -> bytes:
    """The leaf hashes of the rows, 32 bytes each."""
    head = LEAF + _head(relation)
    return b"".join([sha256(head + body).digest() for body in _bodies(rows)])


def digests_of(relation: Relation, rows: Sequence[Values]) -> list[str]:
    """What a seal says of each row: SHA-256 of its canonical form, in hex."""
    head = _head(relation)
    return [sha256(head + body).hexdigest() for body in _bodies(rows)]


def _other(value: object) -> dict[str, str]:
    """A value of a type that no column of ours has, in a form that no text or number has."""
    return {type(value).__name__: value.hex() if isinstance(value, bytes) else str(value)}


def _head(relation: Relation) -> bytes:
    return f'"{relation.name}"\n'.encode()


def _bodies(rows: Sequence[Values]) -> list[bytes]:
    """The values of each row, all rows at a time: a million of them are what verifying takes its time for."""
    if not rows:
        return []
    found = _as_bytes(_ROWS.encode(rows)[2:-2]).split(_BETWEEN)
    if len(found) == len(rows):
        return found
    return [_as_bytes(_ROWS.encode(list(row))[1:-1]) for row in rows]  # a value that is a list: no column of ours


def _as_bytes(text: str) -> bytes:
    """Without NULLs at the end of a row: one of each at a time, for that is a search that costs next to nothing."""
    while "\nnull]\n[" in text:
        text = text.replace("\nnull]\n[", "]\n[")
    while text.endswith("\nnull"):
        text = text[: -len("\nnull")]
    return text.encode("utf-8", "surrogateescape")


_BETWEEN = b"]\n["
_ROWS: Any = json.JSONEncoder(ensure_ascii=False, separators=("\n", ":"), default=_other)
"""A newline separates values; inside text it is always written \\n: so rows are told apart without a parser."""
