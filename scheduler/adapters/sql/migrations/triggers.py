"""Triggers in both dialects: what was written stays. A change of a trigger is a migration of its own.

Their texts are those of `adapters/sql/trigger_texts`, which `allot audit verify` holds a database to, too.
"""

from collections.abc import Iterable

from alembic import op

from scheduler.adapters.sql.trigger_texts import (
    Trigger,
    accounts_stay,
    append_only,
    closed_periods,
    holds_resolve_once,
)


def make_append_only(table: str, *, unique: str | None = None) -> None:
    _make(append_only(table, unique, is_sqlite=_is_sqlite()))


def drop_append_only(table: str) -> None:
    """Take those triggers away, for a migration that makes them again."""
    if _is_sqlite():
        for name in ("no_update", "no_delete", "no_replace"):
            op.execute(f"DROP TRIGGER {table}_{name}")
        return
    for name in ("no_change", "no_truncate"):
        op.execute(f"DROP TRIGGER {table}_{name} ON {table}")
    op.execute(f"DROP FUNCTION {table}_no_change()")


def guard_accounts() -> None:
    _make(accounts_stay())


def guard_holds() -> None:
    _make(holds_resolve_once())


def refuse_closed_periods(table: str) -> None:
    _make(closed_periods(table, is_sqlite=_is_sqlite()))


def _make(triggers: Iterable[Trigger]) -> None:
    for trigger in triggers:
        for statement in [trigger.on_sqlite()] if _is_sqlite() else trigger.on_postgres():
            op.execute(statement)


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"
