"""The one way to write a transaction as bytes: what its hash, and later a proof over the journal, are made of."""

import hashlib
import json

from scheduler.ledger.journal import Transaction


def canonical_bytes(transaction: Transaction) -> bytes:
    """JSON without spaces, arrays only, in the order of the fields; all text is UTF-8."""
    body = [
        transaction.id,
        transaction.kind.value,
        transaction.at,
        transaction.attempt_id,
        transaction.command_id,
        transaction.actor,
        transaction.memo,
        [
            [entry.account.kind.value, entry.account.owner, entry.unit, entry.amount, entry.gpu_ms]
            for entry in transaction.entries
        ],
    ]
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def body_hash(transaction: Transaction) -> str:
    """SHA-256 of the canonical bytes, in hex: the same for the same transaction alone."""
    return hashlib.sha256(canonical_bytes(transaction)).hexdigest()
