"""The one way to write a transaction as bytes: what its hash is made of, which tells it from another of its id."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from scheduler.ledger.journal import Transaction


def canonical_bytes(transaction: Transaction) -> bytes:
    """JSON without spaces, arrays only, in the order of the fields; all text is UTF-8.

    A correction is written under the date that it corrects: it stays the same transaction when the period that it
    belongs to is closed before it is posted.
    """
    lines = [
        [entry.account.kind.value, entry.account.owner, entry.unit, entry.amount, entry.gpu_ms]
        for entry in transaction.entries
    ]
    head = [
        transaction.id,
        transaction.kind.value,
        transaction.at if transaction.corrects_at is None else transaction.corrects_at,
        transaction.attempt_id,
        transaction.command_id,
        transaction.actor,
        transaction.memo,
    ]
    return _as_bytes(head, lines)


def body_hash(transaction: Transaction) -> str:
    """SHA-256 of the canonical bytes, in hex: the same for the same transaction alone."""
    return hashlib.sha256(canonical_bytes(transaction)).hexdigest()


def hash_of_values(row: Mapping[str, object], lines: Sequence[Sequence[object]]) -> str:
    """The same hash from rows as a database has them, whatever is in them: for who looks whether they are ours."""
    at = row["at"] if row["corrects_at"] is None else row["corrects_at"]
    head = [row["id"], row["kind"], at, row["attempt_id"], row["command_id"], row["actor"], row["memo"]]
    return hashlib.sha256(_as_bytes(head, lines)).hexdigest()


def _as_bytes(head: Sequence[object], lines: Sequence[Sequence[object]]) -> bytes:
    return _ARRAYS.encode([*head, lines]).encode("utf-8", "surrogateescape")


_ARRAYS = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=repr)
