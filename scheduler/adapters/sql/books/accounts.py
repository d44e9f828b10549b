"""The journal's accounts as they are stored, and entries of so many of them as are named."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, and_, select

from scheduler.adapters.sql.books.posting import AccountKey, AccountState
from scheduler.adapters.sql.querying import among, rows_by_id
from scheduler.adapters.sql.tables import journal as tables
from scheduler.domain.units import Instant, Unit
from scheduler.ledger.journal import Account, AccountKind

KINDS = {kind.value: kind for kind in AccountKind}

_STATES = select(
    tables.accounts.c.id,
    tables.accounts.c.kind,
    tables.accounts.c.owner,
    tables.accounts.c.unit,
    tables.accounts.c.balance,
    tables.accounts.c.floor,
).order_by(tables.accounts.c.id)

_LOCKED_STATES = _STATES.with_for_update()


def states_of(
    connection: Connection, accounts: Iterable[Account], *, for_update: bool = False
) -> dict[AccountKey, AccountState]:
    """What is stored of the accounts, in every unit. Locked in the order of their ids."""
    wanted = set(accounts)
    statement = _LOCKED_STATES if for_update else _STATES
    owners = sorted({account.owner for account in wanted})
    states = {}
    for account_id, kind, owner, unit, balance, floor in rows_by_id(
        connection, statement, tables.accounts.c.owner, owners
    ):
        account = Account(KINDS[kind], owner)
        if account in wanted:
            states[account, Unit(unit)] = AccountState(account_id, balance, floor)
    return states


def is_on(connection: Connection, accounts: Sequence[Account]) -> ColumnElement[bool]:
    """Whether an entry is on one of these accounts, however many they are."""
    ids = [state.id for state in states_of(connection, accounts).values()]
    return among(tables.entries.c.account_id, ids, connection.dialect)


def posted_on(
    connection: Connection,
    accounts: Sequence[Account],
    starts_at: Instant,
    ends_at: Instant,
) -> ColumnElement[bool]:
    """Whether an entry is of [starts_at, ends_at) on one of these accounts.

    An owner's entries and their transactions each lie on a page with those of others. Read account by account, each of
    those pages is read twice; SQLite reads them once, in their order, where the index alone names the entries first.
    PostgreSQL does so by itself.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    named = tables.entries.alias("named") if is_sqlite else tables.entries
    ids = [state.id for state in states_of(connection, accounts).values()]
    conditions = [
        among(named.c.account_id, ids, connection.dialect),
        named.c.at >= starts_at,
        named.c.at < ends_at,
    ]
    if is_sqlite:
        return tables.entries.c.seq.in_(select(named.c.seq).where(*conditions))
    return and_(*conditions)
