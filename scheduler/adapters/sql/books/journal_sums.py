"""What the journal's entries add up to, in SQL: balances of an instant, who used what, and a company's lines."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)

from scheduler.adapters.sql.books.accounts import KINDS, is_on, states_of
from scheduler.adapters.sql.books.holders import holder_from
from scheduler.adapters.sql.books.journal_stated import (
    BY_TRANSACTION,
    INTERNAL_KINDS,
    IS_USED,
    TRANSACTION_KINDS,
    WORTH,
    JournalStated,
    came_back_for,
)
from scheduler.adapters.sql.driving import fetch_by_pieces
from scheduler.adapters.sql.querying import filtered_by_id, pieces, spelled
from scheduler.adapters.sql.tables import journal as tables
from scheduler.adapters.sql.tables.allowances import allowances
from scheduler.adapters.sql.tables.workloads import attempts
from scheduler.domain.allowances import Holder
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    MS_PER_DAY,
    STANDARD_GPU,
    AttemptId,
    EngineerId,
    GpuClassName,
    Instant,
    PoolName,
    Unit,
)
from scheduler.ledger.books import PoolUse, TermsUsed, UsedBy
from scheduler.ledger.journal import Account, AccountKind, PostedSum, TransactionKind
from scheduler.ledger.statement import HAD, STATED, CompanyLines, Released, StatementLine

_ENTRY, _POSTED, _ACCOUNT = tables.entries.c, tables.transactions.c, tables.accounts.c
_KEY = func.coalesce(_POSTED.attempt_id, _POSTED.id).label("key")


def _on(*kinds: AccountKind) -> ColumnElement[Any]:
    """What was added to accounts of these kinds."""
    amount = case((_ACCOUNT.kind.in_([kind.value for kind in kinds]), _ENTRY.amount), else_=0)
    return func.sum(amount)


_LINES = (
    select(
        _POSTED.kind,
        func.max(_ENTRY.at).label("last_at"),
        func.max(_POSTED.attempt_id).label("attempt_id"),
        _on(AccountKind.ALLOWANCE, AccountKind.HELD).label("amount"),
        func.sum(func.abs(_ENTRY.gpu_ms)).label("gpu_ms"),
        (-_on(AccountKind.OVERRUN)).label("overrun"),
        (-_on(AccountKind.UNFUNDED)).label("unfunded"),
        _on(AccountKind.PROMISED).label("promised"),
        func.min(_POSTED.seq).label("first"),
        _ACCOUNT.unit,
    )
    .where(_POSTED.kind.not_in(INTERNAL_KINDS))
    .group_by(_POSTED.kind, _ACCOUNT.unit, _KEY)
)


# Not grouped: SQLite sorts what it groups, and keeps what it sorts in memory. An export is of any number of rows.
_TERMS = (
    select(
        *(attempts.c.gpu_class, attempts.c.pool),
        *(func.coalesce(attempts.c.started_at, _POSTED.at), _POSTED.at),
    )
    .select_from(tables.transactions.join(attempts, attempts.c.id == _POSTED.attempt_id))
    .where(
        _POSTED.at >= bindparam("starts_at"),
        _POSTED.at < bindparam("ends_at"),
        or_(*(_POSTED.kind == kind for kind in WORTH)),
    )
)


@dataclass(frozen=True, slots=True)
class JournalSums(JournalStated):
    def company_lines(self, *, starts_at: Instant, ends_at: Instant, first: int) -> CompanyLines:
        found = _LINES.select_from(BY_TRANSACTION).where(
            _ACCOUNT.kind.in_([kind.value for kind in STATED]), _POSTED.at >= starts_at, _POSTED.at < ends_at
        )
        lines: list[StatementLine] = []
        sums: dict[TransactionKind, StatementLine] = {}
        count = 0
        rows = self.connection.execute(_first_and_sums(found.cte("found"), first)).all()
        for of, *row in sorted(rows, key=attrgetter("last_at", "first")):
            line = _line(row)
            if of is None:
                lines.append(line)
            else:
                count += of
                sums[line.kind] = line
        standard = [line for line in lines if line.unit == STANDARD_GPU]
        for line in standard:
            sums[line.kind] = sums[line.kind].without(line)
        return CompanyLines(lines, list(sums.values()), count - len(standard))

    def holders(self, transactions: Sequence[str]) -> Mapping[str, tuple[Holder, ...]]:
        moved = func.sum(_ENTRY.amount)
        statement = (
            select(_POSTED.id, allowances.c.holder)
            .select_from(BY_TRANSACTION.join(allowances, allowances.c.id == _ACCOUNT.owner))
            .where(_ACCOUNT.kind.in_([kind.value for kind in HAD]))
            .group_by(_POSTED.id, allowances.c.holder)
            .order_by(_POSTED.id, moved, allowances.c.holder)
        )
        found: dict[str, tuple[Holder, ...]] = {}
        for transaction, holder in filtered_by_id(self.connection, statement, _POSTED.id, transactions):
            found[transaction] = (*found.get(transaction, ()), holder_from(holder))
        return found

    def released(self, *, stopped_for: Collection[Reason], starts_at: Instant, ends_at: Instant) -> list[Released]:
        statement = (
            select(attempts.c.id, _ACCOUNT.unit, func.max(_ENTRY.at), func.sum(_ENTRY.amount))
            .select_from(BY_TRANSACTION.join(attempts, attempts.c.id == _POSTED.attempt_id))
            .where(came_back_for(stopped_for), _ENTRY.at >= starts_at, _ENTRY.at < ends_at)
            .group_by(attempts.c.id, _ACCOUNT.unit)
            .order_by(attempts.c.id, _ACCOUNT.unit)
        )
        return [
            Released(AttemptId(attempt_id), Unit(unit), Instant(at), int(amount))
            for attempt_id, unit, at, amount in self.connection.execute(statement)
        ]

    def used_by(self, *, kinds: Sequence[AccountKind], starts_at: Instant, ends_at: Instant) -> list[UsedBy]:
        is_unfunded = _ACCOUNT.owner.startswith("unfunded/", autoescape=True)
        keys = (_ACCOUNT.kind, is_unfunded, _ACCOUNT.unit, attempts.c.owner, attempts.c.gpu_class)
        statement = (
            select(*keys, func.sum(_ENTRY.amount), func.sum(_ENTRY.gpu_ms))
            .select_from(BY_TRANSACTION.outerjoin(attempts, attempts.c.id == _POSTED.attempt_id))
            .where(
                _POSTED.kind.not_in(INTERNAL_KINDS),
                _ACCOUNT.kind.in_([kind.value for kind in kinds]),
                _POSTED.at >= starts_at,
                _POSTED.at < ends_at,
            )
            .group_by(*keys)
        )
        return [
            UsedBy(
                KINDS[kind],
                bool(unfunded),
                Unit(unit),
                None if owner is None else EngineerId(owner),
                None if gpu_class is None else GpuClassName(gpu_class),
                int(amount),
                int(gpu_ms),
            )
            for kind, unfunded, unit, owner, gpu_class, amount, gpu_ms in self.connection.execute(statement)
        ]

    def used_of_pools(self, *, starts_at: Instant, ends_at: Instant) -> list[PoolUse]:
        keys = (attempts.c.pool, attempts.c.gpu_class, attempts.c.is_borrowed)
        statement = (
            select(*keys, func.sum(_ENTRY.gpu_ms))
            .select_from(BY_TRANSACTION.join(attempts, attempts.c.id == _POSTED.attempt_id))
            .where(
                IS_USED,
                _ACCOUNT.kind == AccountKind.CHARGED.value,
                _POSTED.at >= starts_at,
                _POSTED.at < ends_at,
            )
            .group_by(*keys)
            .order_by(*keys)
        )
        return [
            PoolUse(PoolName(pool), GpuClassName(gpu_class), bool(is_borrowed), int(gpu_ms))
            for pool, gpu_class, is_borrowed, gpu_ms in self.connection.execute(statement)
        ]

    def sums(
        self, *, kinds: Sequence[AccountKind], starts_at: Instant | None = None, ends_at: Instant | None = None
    ) -> Iterator[PostedSum]:
        account, entry, attempt_id = tables.accounts.c, tables.entries.c, tables.transactions.c.attempt_id
        statement = (
            select(
                account.kind, account.owner, account.unit, attempt_id, func.sum(entry.amount), func.sum(entry.gpu_ms)
            )
            .select_from(tables.accounts)
            .join(tables.entries, entry.account_id == account.id)
            .join(tables.transactions, tables.transactions.c.seq == entry.transaction_seq)
            .where(account.kind.in_([kind.value for kind in kinds]))
            .group_by(account.id, account.kind, account.owner, account.unit, attempt_id)
            .order_by(account.id, attempt_id)
        )
        if starts_at is not None:
            statement = statement.where(entry.at >= starts_at)
        if ends_at is not None:
            statement = statement.where(entry.at < ends_at)
        for kind, owner, unit, attempt, amount, gpu_ms in self.connection.execute(statement):
            yield PostedSum(Account(KINDS[kind], owner), Unit(unit), attempt, int(amount), int(gpu_ms))

    def charged_by_day(
        self,
        *,
        starts_at: Instant,
        ends_at: Instant,
        accounts: Sequence[Account] | None = None,
        unit: Unit = STANDARD_GPU,
    ) -> Iterator[tuple[str, Instant, int]]:
        account, entry, posted = tables.accounts.c, tables.entries.c, tables.transactions.c
        day = (entry.at // MS_PER_DAY).label("day")
        statement = (
            select(account.owner, day, func.sum(entry.amount))
            .select_from(tables.accounts)
            .join(tables.entries, entry.account_id == account.id)
            .join(tables.transactions, posted.seq == entry.transaction_seq)
            .where(
                account.kind == AccountKind.CHARGED.value,
                account.unit == unit,
                posted.kind == TransactionKind.CHARGE.value,
                entry.at >= starts_at,
                entry.at < ends_at,
            )
            .group_by(account.owner, day)
            .order_by(account.owner, day)
        )
        if unit == STANDARD_GPU:
            statement = statement.where(posted.attempt_id.is_not(None))
        if accounts is not None:
            statement = statement.where(is_on(self.connection, accounts))
        for owner, number, amount in self.connection.execute(statement):
            yield owner, Instant(int(number) * MS_PER_DAY), int(amount)

    def charged_gpu_ms(
        self, attempts: Sequence[AttemptId], *, starts_at: Instant, ends_at: Instant
    ) -> Mapping[AttemptId, int]:
        statement = (
            select(_POSTED.attempt_id, func.sum(_ENTRY.gpu_ms))
            .select_from(BY_TRANSACTION)
            .where(
                _POSTED.kind == TransactionKind.CHARGE.value,
                _ACCOUNT.kind == AccountKind.CHARGED.value,
                _ENTRY.at >= starts_at,
                _ENTRY.at < ends_at,
            )
            .group_by(_POSTED.attempt_id)
        )
        found = filtered_by_id(self.connection, statement, _POSTED.attempt_id, attempts)
        return {AttemptId(attempt_id): int(gpu_ms) for attempt_id, gpu_ms in found}

    def totals(
        self, *, ends_at: Instant, accounts: Sequence[Account], unit: Unit = STANDARD_GPU
    ) -> Mapping[Account, int]:
        states = states_of(self.connection, accounts)
        by_id = {state.id: account for (account, account_unit), state in states.items() if account_unit == unit}
        sums = dict.fromkeys(accounts, 0)
        for piece in pieces(by_id):
            statement = (
                select(tables.entries.c.account_id, func.sum(tables.entries.c.amount))
                .where(tables.entries.c.account_id.in_(piece), tables.entries.c.at < ends_at)
                .group_by(tables.entries.c.account_id)
            )
            for account_id, total in self.connection.execute(statement):
                sums[by_id[account_id]] = int(total)
        return sums

    def kind_totals(
        self, *, kinds: Sequence[AccountKind], ends_at: Instant, unit: Unit = STANDARD_GPU
    ) -> Mapping[AccountKind, int]:
        account, entry = tables.accounts.c, tables.entries.c
        statement = (
            select(account.kind, func.sum(entry.amount))
            .select_from(tables.accounts)
            .join(tables.entries, entry.account_id == account.id)
            .where(account.kind.in_([kind.value for kind in kinds]), account.unit == unit, entry.at < ends_at)
            .group_by(account.kind)
        )
        return {KINDS[kind]: int(total) for kind, total in self.connection.execute(statement)}

    def accounts(self) -> int:
        return int(self.connection.execute(select(func.count()).select_from(tables.accounts)).scalar_one())

    def terms_used(self, *, starts_at: Instant, ends_at: Instant) -> list[TermsUsed]:
        text, values = spelled(self.connection, _TERMS, starts_at=starts_at, ends_at=ends_at)
        found: dict[tuple[str, str], tuple[Instant, Instant]] = {}
        for rows in fetch_by_pieces(self.connection, text, values):
            for gpu_class, pool, began_at, at in rows:
                first, last = found.get((gpu_class, pool), (began_at, at))
                found[gpu_class, pool] = (min(first, began_at), max(last, at))
        return [TermsUsed(GpuClassName(c), PoolName(p), *found[c, p]) for c, p in sorted(found)]

    def tokens_charged(self, *, starts_at: Instant, ends_at: Instant) -> Iterator[tuple[Instant, str]]:
        posted = tables.transactions.c
        statement = (
            select(func.coalesce(posted.corrects_at, posted.at), posted.memo)
            .where(posted.kind == TransactionKind.CHARGE.value, posted.attempt_id.is_(None))
            .where(posted.at >= starts_at, posted.at < ends_at)
            .order_by(posted.seq)
        )
        for at, memo in self.connection.execute(statement, execution_options={"yield_per": 1_000}):
            yield Instant(at), memo

    def count(self, *, transactions: Sequence[TransactionKind], starts_at: Instant, ends_at: Instant) -> int:
        posted = tables.transactions.c
        kinds = [kind.value for kind in transactions]
        statement = (
            select(func.count())
            .select_from(tables.transactions)
            .where(posted.kind.in_(kinds), posted.at >= starts_at, posted.at < ends_at)
        )
        return int(self.connection.execute(statement).scalar_one())


def _first_and_sums(found: CTE, first: int) -> CompoundSelect[*tuple[Any, ...]]:
    """The first lines in standard time and all in other units; and, with how many there are, what those in standard time
    come to, a row for each kind. Grouping a month of a company is most of it: both are of one."""
    line, posted = found.c, tables.transactions.alias("first")
    is_standard = line.unit == STANDARD_GPU
    of_first = select(found).where(is_standard).order_by(line.last_at, line.first).limit(first).subquery()
    named = [select(of_first), select(found).where(~is_standard)]
    told = union_all(*named).subquery()
    counted = [func.sum(line[name]) for name in ("amount", "gpu_ms", "overrun", "unfunded", "promised")]
    return union_all(
        select(cast(null(), BigInteger), told, posted.c.memo, posted.c.id).join(posted, posted.c.seq == told.c.first),
        select(
            *(func.count(), line.kind, func.max(line.last_at), cast(null(), Text)),
            *(*counted, func.min(line.first), func.min(line.unit), literal(""), literal("")),
        )
        .where(is_standard)
        .group_by(line.kind),
    )


def _line(row: Sequence[Any]) -> StatementLine:
    kind, at, attempt, amount, gpu_ms, overrun, unfunded, promised, _, unit, memo, transaction_id = row
    return StatementLine(
        *(TRANSACTION_KINDS[kind], at, attempt),
        *(int(amount), int(gpu_ms), int(overrun), int(unfunded), int(promised)),
        *(memo, transaction_id, unit),
    )
