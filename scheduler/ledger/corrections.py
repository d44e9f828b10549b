"""Corrections: what would be dated inside a closed period counts in the open one, marked with the date it had."""

from collections.abc import Iterable
from dataclasses import replace

from scheduler.domain.units import Instant
from scheduler.ledger.journal import Transaction

Span = tuple[Instant, Instant]
"""A closed period, half-open."""


def into_open_period(transaction: Transaction, closed: Iterable[Span], now: Instant) -> Transaction:
    """The transaction as it may be posted. It keeps its id and its hash: posted before, it is the same one."""
    if any(starts_at <= transaction.at < ends_at for starts_at, ends_at in closed):
        return replace(transaction, at=now, corrects_at=transaction.at)
    return transaction
