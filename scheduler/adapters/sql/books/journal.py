"""The journal in SQL: posting under locks and floors, and entries read back. Its sums: `journal_sums`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, func, select

from scheduler.adapters.sql.books.accounts import KINDS, is_on, states_of
from scheduler.adapters.sql.books.journal_sums import JournalSums
from scheduler.adapters.sql.books.posting import AccountKey, AccountState, apply, touched_accounts
from scheduler.adapters.sql.driving import fetch_all
from scheduler.adapters.sql.querying import insert_all, next_number, rows_by_id, spelled, update_all
from scheduler.adapters.sql.tables import journal as tables
from scheduler.adapters.sql.tables.periods import period_closings
from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.units import STANDARD_GPU, AttemptId, Instant, Unit
from scheduler.finance.reconciling.closing import ClosingState
from scheduler.ledger.books import BalanceDifference
from scheduler.ledger.canonical import body_hash
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, Transaction, TransactionKind

_TRANSACTION_KINDS = {kind.value: kind for kind in TransactionKind}

_HASHES = select(tables.transactions.c.id, tables.transactions.c.body_hash)

_CLOSED = select(period_closings.c.period, period_closings.c.starts_at, period_closings.c.ends_at).where(
    period_closings.c.state == ClosingState.CLOSED.value, period_closings.c.ends_at > bindparam("after")
)

_POSTED = (
    select(
        tables.entries.c.seq,
        tables.transactions.c.id,
        tables.transactions.c.kind,
        tables.entries.c.at,
        tables.transactions.c.recorded_at,
        tables.accounts.c.kind,
        tables.accounts.c.owner,
        tables.accounts.c.unit,
        tables.entries.c.amount,
        tables.entries.c.gpu_ms,
        tables.transactions.c.attempt_id,
        tables.transactions.c.memo,
        tables.transactions.c.corrects_at,
    )
    .join(tables.transactions, tables.transactions.c.seq == tables.entries.c.transaction_seq)
    .join(tables.accounts, tables.accounts.c.id == tables.entries.c.account_id)
    .order_by(tables.entries.c.seq)
)


@dataclass(frozen=True, slots=True)
class SqlJournal(JournalSums):
    """A JournalBook. Numbers are without gaps and in the order of commits: one transaction writes at a time."""

    def post(self, posted: Sequence[Transaction], recorded_at: Instant) -> None:
        fresh = self._not_yet_posted(posted)
        if not fresh:
            return
        self._require_open([transaction for transaction, _ in fresh])
        states = self._lock_accounts([transaction for transaction, _ in fresh])
        apply([transaction for transaction, _ in fresh], states)
        self._write(fresh, states, recorded_at)

    def balance(self, account: Account, unit: Unit = STANDARD_GPU) -> int:
        state = states_of(self.connection, [account]).get((account, unit))
        return 0 if state is None else state.balance

    def entries(
        self,
        *,
        accounts: Sequence[Account] | None = None,
        kinds: Sequence[AccountKind] | None = None,
        starts_at: Instant | None = None,
        ends_at: Instant | None = None,
        attempt_id: AttemptId | None = None,
        transactions: Sequence[TransactionKind] | None = None,
    ) -> Iterator[PostedEntry]:
        statement = _POSTED
        if kinds is not None:
            statement = statement.where(tables.accounts.c.kind.in_([kind.value for kind in kinds]))
        if starts_at is not None:
            statement = statement.where(tables.entries.c.at >= starts_at)
        if ends_at is not None:
            statement = statement.where(tables.entries.c.at < ends_at)
        if starts_at is not None and ends_at is not None and accounts is None:
            first, last = self._numbers(starts_at, ends_at)
            statement = statement.where(tables.entries.c.seq >= first, tables.entries.c.seq <= last)
        if attempt_id is not None:
            statement = statement.where(tables.transactions.c.attempt_id == attempt_id)
        if transactions is not None:
            statement = statement.where(tables.transactions.c.kind.in_([kind.value for kind in transactions]))
        if accounts is not None:
            statement = statement.where(is_on(self.connection, accounts))
        return self._stream(statement)

    def _numbers(self, starts_at: Instant, ends_at: Instant) -> tuple[int, int]:
        """The first and the last number that an entry of the period can have: those of a transaction follow those of the
        one before. Between them entries are read in their order without sorting, and nothing of before and after. They
        are asked for by themselves, for PostgreSQL plans by them; as sums, so that it does not look for them from the
        first row of all on."""
        posted, entry = tables.transactions.c, tables.entries.c
        within = select(func.min(posted.seq + 0), func.max(posted.seq + 0)).where(
            posted.at >= starts_at, posted.at < ends_at
        )
        first, last = self.connection.execute(within).one()
        numbers = select(func.min(entry.seq), func.max(entry.seq)).where(entry.transaction_seq.in_([first, last]))
        lowest, highest = self.connection.execute(numbers).one()
        return (1, 0) if lowest is None else (lowest, highest)

    def differences(self) -> list[BalanceDifference]:
        sums = (
            select(tables.entries.c.account_id, func.sum(tables.entries.c.amount).label("total"))
            .group_by(tables.entries.c.account_id)
            .subquery()
        )
        total = func.coalesce(sums.c.total, 0)
        account = tables.accounts.c
        statement = (
            select(account.kind, account.owner, account.unit, account.balance, total)
            .outerjoin(sums, sums.c.account_id == account.id)
            .where(account.balance != total)
            .order_by(account.id)
        )
        return [
            BalanceDifference(Account(AccountKind(kind), owner), Unit(unit), cached, int(rebuilt))
            for kind, owner, unit, cached, rebuilt in self.connection.execute(statement)
        ]

    def _not_yet_posted(self, posted: Sequence[Transaction]) -> list[tuple[Transaction, str]]:
        """Those that are new, with their hashes; a Conflict where an id has another body."""
        ids = [transaction.id for transaction in posted]
        known: dict[str, str] = dict(rows_by_id(self.connection, _HASHES, tables.transactions.c.id, ids))
        fresh = []
        for transaction in posted:
            new_hash = body_hash(transaction)
            if transaction.id not in known:
                known[transaction.id] = new_hash
                fresh.append((transaction, new_hash))
            elif known[transaction.id] != new_hash:
                raise Conflict(
                    f"transaction {transaction.id} was posted before with another body",
                    code=RefusalCode.IDEMPOTENCY_CONFLICT,
                    expected="the same body under the same id",
                    remedy="give the new posting an id of its own",
                )
        return fresh

    def _require_open(self, fresh: Sequence[Transaction]) -> None:
        """A Conflict where one is dated inside a closed period. The database's own trigger stands behind it."""
        first = min(transaction.at for transaction in fresh)
        for period, starts_at, ends_at in fetch_all(self.connection, *spelled(self.connection, _CLOSED, after=first)):
            for transaction in fresh:
                if starts_at <= transaction.at < ends_at:
                    raise Conflict(
                        f"{transaction.id} is dated inside {period}, which is closed",
                        code=RefusalCode.PERIOD_CLOSED,
                        expected="a correction in the open period",
                    )

    def _lock_accounts(self, fresh: Sequence[Transaction]) -> dict[AccountKey, AccountState]:
        """Every account that they touch, locked. A new one is inserted as zero first: what is not there has no lock."""
        keys = touched_accounts(fresh)
        states = states_of(self.connection, [account for account, _ in keys], for_update=True)
        missing = [key for key in keys if key not in states]
        if missing:
            self.open_accounts(dict.fromkeys(missing, 0))
            states |= states_of(self.connection, [account for account, _ in missing], for_update=True)
        return states

    def open_accounts(self, floors: Mapping[AccountKey, int]) -> None:
        """Insert accounts that are not there yet, with a balance of zero; those that are get the floor given."""
        known = states_of(self.connection, [account for account, _ in floors], for_update=True)
        first = next_number(self.connection, tables.accounts.c.id)
        missing = [key for key in floors if key not in known]
        rows = [
            {
                "id": first + place,
                "kind": account.kind.value,
                "owner": account.owner,
                "unit": unit,
                "balance": 0,
                "floor": None if account.kind.may_go_below_zero else floors[account, unit],
            }
            for place, (account, unit) in enumerate(missing)
        ]
        insert_all(self.connection, tables.accounts, rows)
        floored = [
            {"id": state.id, "floor": floors[key]}
            for key, state in known.items()
            if key in floors and state.floor not in {None, floors[key]}
        ]
        update_all(self.connection, tables.accounts, tables.accounts.c.id, floored)

    def _write(
        self,
        fresh: Sequence[tuple[Transaction, str]],
        states: Mapping[AccountKey, AccountState],
        recorded_at: Instant,
    ) -> None:
        transaction_seq = next_number(self.connection, tables.transactions.c.seq)
        entry_seq = next_number(self.connection, tables.entries.c.seq)
        transaction_rows: list[dict[str, object]] = []
        entry_rows: list[dict[str, object]] = []
        for transaction, new_hash in fresh:
            transaction_rows.append(
                {
                    "seq": transaction_seq,
                    "id": transaction.id,
                    "kind": transaction.kind.value,
                    "at": transaction.at,
                    "recorded_at": recorded_at,
                    "attempt_id": transaction.attempt_id,
                    "command_id": transaction.command_id,
                    "actor": transaction.actor,
                    "memo": transaction.memo,
                    "body_hash": new_hash,
                    "corrects_at": transaction.corrects_at,
                }
            )
            for entry in transaction.entries:
                entry_rows.append(
                    {
                        "seq": entry_seq,
                        "transaction_seq": transaction_seq,
                        "account_id": states[entry.account, entry.unit].id,
                        "at": transaction.at,
                        "amount": entry.amount,
                        "gpu_ms": entry.gpu_ms,
                    }
                )
                entry_seq += 1
            transaction_seq += 1
        insert_all(self.connection, tables.transactions, transaction_rows)
        insert_all(self.connection, tables.entries, entry_rows)
        changed = ({"id": state.id, "balance": state.balance} for state in states.values() if state.is_changed)
        update_all(self.connection, tables.accounts, tables.accounts.c.id, changed)

    def _stream(self, statement: Select[*tuple[Any, ...]]) -> Iterator[PostedEntry]:
        for row in self.connection.execute(statement, execution_options={"yield_per": 1_000}):
            seq, transaction_id, kind, at, recorded_at, account_kind, owner, unit, amount, gpu_ms, *marks = row
            attempt, memo, corrects_at = marks
            yield PostedEntry(
                seq=seq,
                transaction_id=transaction_id,
                kind=_TRANSACTION_KINDS[kind],
                at=at,
                recorded_at=recorded_at,
                account=Account(KINDS[account_kind], owner),
                unit=Unit(unit),
                amount=amount,
                gpu_ms=gpu_ms,
                attempt_id=attempt,
                memo=memo,
                corrects_at=corrects_at,
            )
