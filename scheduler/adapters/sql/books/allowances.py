"""Allowances and holds in SQL."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, func, or_, select

from scheduler.adapters.sql.books.holders import holder_from, holder_text
from scheduler.adapters.sql.books.journal import SqlJournal
from scheduler.adapters.sql.codec import FieldCodec, RowCodec, to_json
from scheduler.adapters.sql.querying import filtered_by_id, insert_all, next_number, rows_by_id, update_all
from scheduler.adapters.sql.sealing import Sealing
from scheduler.adapters.sql.tables.allowances import allowances, freezes, holds
from scheduler.adapters.sql.tables.journal import accounts
from scheduler.domain.allowances import Allowance, AllowanceBalance, AllowanceSource, Freeze, Holder
from scheduler.domain.errors import Conflict, NotFound, RefusalCode
from scheduler.domain.terms import Draw
from scheduler.domain.units import AllowanceId, AttemptId, HoldId, Instant, WorkloadId
from scheduler.ledger.holds import Hold, HoldState
from scheduler.ledger.journal import Account, AccountKind

_ALLOWANCE = RowCodec(Allowance, allowances, FieldCodec("holder", holder_text, holder_from))
_HOLD = RowCodec(Hold, holds)
_FREEZE = RowCodec(Freeze, freezes)

_OF_POLICY = (AllowanceSource.TIER.value, AllowanceSource.PROJECT.value)

NO_DRAWS: Mapping[HoldId, Draw] = {}

_IN_ORDER = select(*_HOLD.columns).order_by(holds.c.order, holds.c.id)
_COLUMNS = [column.name for column in _HOLD.columns]
_LOCKED = select(*_HOLD.columns).order_by(holds.c.id).with_for_update()

_RESERVED = _IN_ORDER.where(
    holds.c.workload_id == bindparam("workload_id"),
    holds.c.attempt_id.is_(None),
    holds.c.state == HoldState.OPEN.value,
)

_available = accounts.alias("available")
_held = accounts.alias("held")
_promised = accounts.alias("promised")
_charged = accounts.alias("charged")
_refunds = accounts.alias("refunds")


def _balance_of(kind: AccountKind, alias: Any) -> Any:
    return and_(alias.c.owner == allowances.c.id, alias.c.kind == kind.value, alias.c.unit == allowances.c.unit)


_IS_FROZEN = (
    select(freezes.c.is_frozen)
    .where(freezes.c.allowance_id == allowances.c.id)
    .order_by(freezes.c.seq.desc())
    .limit(1)
    .correlate(allowances)
    .scalar_subquery()
)
_BALANCES = (
    select(
        *_ALLOWANCE.columns,
        _available.c.balance,
        _held.c.balance,
        func.coalesce(_promised.c.balance, 0),
        func.coalesce(_charged.c.balance, 0) + func.coalesce(_refunds.c.balance, 0),
        func.coalesce(_IS_FROZEN, 0),
    )
    .join(_available, _balance_of(AccountKind.ALLOWANCE, _available))
    .join(_held, _balance_of(AccountKind.HELD, _held))
    .outerjoin(_promised, _balance_of(AccountKind.PROMISED, _promised))
    .outerjoin(_charged, _balance_of(AccountKind.CHARGED, _charged))
    .outerjoin(_refunds, _balance_of(AccountKind.REFUNDS, _refunds))
    .order_by(allowances.c.id)
)


@dataclass(frozen=True, slots=True)
class SqlAllowances:
    """An AllowanceBook. An award opens its accounts, with its overdraft as the floor."""

    connection: Connection
    sealing: Sealing

    def add(self, allowance: Allowance) -> bool:
        known = select(allowances.c.id).where(allowances.c.id == allowance.id)
        if self.connection.execute(known).first() is not None:
            return False
        row = _ALLOWANCE.write(allowance)
        insert_all(self.connection, allowances, [row])
        self.sealing.written(allowances, [row])
        SqlJournal(self.connection).open_accounts(
            {
                (Account(AccountKind.ALLOWANCE, allowance.id), allowance.unit): -allowance.overdraft,
                (Account(AccountKind.HELD, allowance.id), allowance.unit): 0,
            }
        )
        return True

    def get(self, allowance_id: AllowanceId) -> AllowanceBalance | None:
        row = self.connection.execute(_BALANCES.where(allowances.c.id == allowance_id)).first()
        return None if row is None else _balance(row)

    def balances(
        self,
        *,
        ids: Iterable[AllowanceId] | None = None,
        holders: Sequence[Holder] | None = None,
        open_at: Instant | None = None,
        unsettled_at: Instant | None = None,
    ) -> list[AllowanceBalance]:
        statement: Select[*tuple[Any, ...]] = _BALANCES
        if holders is not None:
            statement = statement.where(allowances.c.holder.in_([holder_text(holder) for holder in holders]))
        if open_at is not None:
            statement = statement.where(allowances.c.starts_at <= open_at, _expires_after(open_at))
        if unsettled_at is not None:
            is_left = or_(_available.c.balance > 0, _held.c.balance > 0, _promised.c.balance > 0)
            statement = statement.where(or_(_expires_after(unsettled_at), is_left))
        if ids is None:
            return [_balance(row) for row in self.connection.execute(statement)]
        selected = rows_by_id if statement is _BALANCES else filtered_by_id
        return [_balance(row) for row in selected(self.connection, statement, allowances.c.id, ids)]

    def newest_period(self) -> Instant | None:
        newest = select(func.max(allowances.c.starts_at)).where(allowances.c.source.in_(_OF_POLICY))
        found: int | None = self.connection.execute(newest).scalar()
        return None if found is None else Instant(found)

    def add_freeze(self, freeze: Freeze) -> None:
        seq = next_number(self.connection, freezes.c.seq)
        insert_all(self.connection, freezes, [{"seq": seq, **_FREEZE.write(freeze)}])

    def freezes(self, allowance_id: AllowanceId) -> list[Freeze]:
        statement = select(*_FREEZE.columns).where(freezes.c.allowance_id == allowance_id).order_by(freezes.c.seq)
        return _FREEZE.read_all(self.connection.execute(statement))


@dataclass(frozen=True, slots=True)
class SqlHolds:
    """A HoldBook. Every change reads the holds first, so that what is refused names the hold and changes nothing.

    What was read under its lock is as this transaction left it: a hold that is charged and resolved is read once.
    """

    connection: Connection
    sealing: Sealing
    _locked: dict[HoldId, dict[str, Any]] = field(default_factory=dict, init=False)

    def open(self, opened: Sequence[Hold]) -> None:
        rows = [_HOLD.write(hold) for hold in opened]
        insert_all(self.connection, holds, rows)
        self.sealing.written(holds, rows)

    def of_attempt(self, attempt_id: AttemptId) -> list[Hold]:
        return self.of_attempts([attempt_id])[attempt_id]

    def of_attempts(self, ids: Sequence[AttemptId]) -> Mapping[AttemptId, list[Hold]]:
        found: dict[AttemptId, list[Hold]] = {attempt_id: [] for attempt_id in ids}
        for row in rows_by_id(self.connection, _IN_ORDER, holds.c.attempt_id, ids):
            hold = _HOLD.read(row)
            if hold.attempt_id is not None:
                found[hold.attempt_id].append(hold)
        return found

    def reserved_for(self, workload_id: WorkloadId) -> list[Hold]:
        return _HOLD.read_all(self.connection.execute(_RESERVED, {"workload_id": workload_id}))

    def assign(self, ids: Sequence[HoldId], attempt_id: AttemptId) -> None:
        self._lock_open(ids)
        self._change({hold_id: {"attempt_id": attempt_id} for hold_id in ids})

    def charge(self, amounts: Mapping[HoldId, int], draws: Mapping[HoldId, Draw] = NO_DRAWS) -> None:
        stored = self._lock_open(amounts)
        changes: dict[HoldId, dict[str, Any]] = {}
        drawn: dict[HoldId, dict[str, Any]] = {}
        for hold_id, amount in amounts.items():
            charged, remaining = stored[hold_id]["charged"], stored[hold_id]["amount"] - stored[hold_id]["charged"]
            if not 0 <= amount <= remaining:
                raise Conflict(
                    f"hold {hold_id} has {remaining} left and cannot be charged {amount}",
                    expected="the excess as overrun",
                )
            change: dict[str, Any] = {"charged": charged + amount}
            if hold_id in draws:
                drawn[hold_id] = {**change, "draw": to_json(draws[hold_id])}
            else:
                changes[hold_id] = change
        self._change(changes)
        self._change(drawn)

    def resolve(self, ids: Sequence[HoldId], at: Instant) -> None:
        resolved = {"state": HoldState.RESOLVED.value, "resolved_at": at}
        self._lock_open(ids)
        self._change(dict.fromkeys(ids, resolved))

    def open_ones(self) -> list[Hold]:
        statement = select(*_HOLD.columns).where(holds.c.state == HoldState.OPEN.value).order_by(holds.c.id)
        return _HOLD.read_all(self.connection.execute(statement))

    def _change(self, changes: Mapping[HoldId, Mapping[str, Any]]) -> None:
        """Write these columns of rows that were read under their lock; a seal is of the row as it then stands."""
        rows = [{"id": hold_id, **change} for hold_id, change in changes.items()]
        update_all(self.connection, holds, holds.c.id, rows)
        for hold_id, change in changes.items():
            self._locked[hold_id].update(change)
        self.sealing.written(holds, [self._locked[hold_id] for hold_id in changes])

    def _lock_open(self, ids: Iterable[HoldId]) -> Mapping[HoldId, Mapping[str, Any]]:
        """Those holds as they are stored, locked; refused where one is unknown or resolved."""
        unread = [hold_id for hold_id in ids if hold_id not in self._locked]
        for row in rows_by_id(self.connection, _LOCKED, holds.c.id, unread):
            read = dict(zip(_COLUMNS, row, strict=True))
            self._locked[read["id"]] = read
        for hold_id in ids:
            stored = self._locked.get(hold_id)
            if stored is None:
                raise NotFound(f"there is no hold {hold_id}", code=RefusalCode.STALE)
            if stored["state"] != HoldState.OPEN.value:
                raise Conflict(f"hold {hold_id} is resolved already", expected="a hold to be resolved once")
        return self._locked


def _expires_after(instant: Instant) -> ColumnElement[bool]:
    return or_(allowances.c.expires_at.is_(None), allowances.c.expires_at > instant)


def _balance(row: Row[*tuple[Any, ...]] | tuple[Any, ...]) -> AllowanceBalance:
    values = tuple(row)
    available, held, promised, used, is_frozen = values[-5:]
    allowance = _allowance(values[:-5])
    passed_on = max(0, allowance.amount - available - held - promised - int(used))
    return AllowanceBalance(allowance, available, held, promised, bool(is_frozen), passed_on)


@lru_cache(maxsize=1_024)
def _allowance(row: tuple[Any, ...]) -> Allowance:
    """Remembered: an allowance stays as it is, and each that pays is read with every balance that changes."""
    return _ALLOWANCE.read(row)
