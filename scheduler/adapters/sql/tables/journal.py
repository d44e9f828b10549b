"""The journal: accounts with their cached balances, transactions and entries. The latter two are append-only."""

from sqlalchemy import CheckConstraint, Index, UniqueConstraint

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of


class AccountRow(Row, table=True):
    """One account in one unit. `balance` is the cached sum of its entries; `floor` NULL may go below zero."""

    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("owner", "kind", "unit"),
        CheckConstraint("floor IS NULL OR balance >= floor", name="not_below_floor"),
        STRICT,
    )
    id: int = columns.sequence()
    kind: str = columns.text()
    owner: str = columns.text()
    unit: str = columns.text()
    balance: int = columns.integer()
    floor: int | None = columns.integer()


class TransactionRow(Row, table=True):
    """`body_hash` tells the same transaction posted again from another one under its id.

    `corrects_at` marks a correction: when it would have counted, had that period not been closed.
    """

    __tablename__ = "transactions"
    __table_args__ = (
        Index(None, "attempt_id"),
        Index(None, "at"),
        STRICT,
    )
    seq: int = columns.sequence()
    id: str = columns.text(unique=True)
    kind: str = columns.text()
    at: int = columns.integer()
    recorded_at: int = columns.integer()
    attempt_id: str | None = columns.text()
    command_id: str | None = columns.text()
    actor: str = columns.text()
    memo: str = columns.text()
    body_hash: str = columns.text()
    corrects_at: int | None = columns.integer()


class EntryRow(Row, table=True):
    """One line. `at` repeats its transaction's, so that the balance of a day is one index range."""

    __tablename__ = "entries"
    __table_args__ = (
        Index(None, "account_id", "at", "amount"),
        Index(None, "transaction_seq"),
        STRICT,
    )
    seq: int = columns.sequence()
    transaction_seq: int = columns.integer(references="transactions.seq")
    account_id: int = columns.integer(references="accounts.id")
    at: int = columns.integer()
    amount: int = columns.integer()
    gpu_ms: int = columns.integer()


accounts = table_of(AccountRow)
transactions = table_of(TransactionRow)
entries = table_of(EntryRow)
