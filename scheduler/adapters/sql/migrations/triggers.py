"""Triggers in both dialects: what was written stays. A change of a trigger is a migration of its own."""

from collections.abc import Sequence

from alembic import op


def make_append_only(table: str, *, unique: str | None = None) -> None:
    """Refuse UPDATE and DELETE, on PostgreSQL TRUNCATE too, and on SQLite an INSERT OR REPLACE over a row."""
    refusal = f"{table} is append-only"
    if _is_sqlite():
        _sqlite_trigger(table, "no_update", "UPDATE", "", refusal)
        _sqlite_trigger(table, "no_delete", "DELETE", "", refusal)
        same = "seq = NEW.seq" if unique is None else f"seq = NEW.seq OR {unique} = NEW.{unique}"
        replaces = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608  # names are ours
        _sqlite_trigger(table, "no_replace", "INSERT", replaces, refusal)
        return
    _postgres_trigger(table, "no_change", "UPDATE OR DELETE", "", refusal)
    op.execute(
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_no_change()"
    )


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
    """An account keeps its name, and stays."""
    refusal = "an account keeps its id, kind, owner and unit"
    changes = _differs(["id", "kind", "owner", "unit"])
    if _is_sqlite():
        _sqlite_trigger("accounts", "same_name", "UPDATE", f"WHEN {changes}", refusal)
        _sqlite_trigger("accounts", "no_delete", "DELETE", "", refusal)
        return
    _postgres_trigger("accounts", "same_name", "UPDATE", f"WHEN ({changes})", refusal)
    _postgres_trigger("accounts", "no_delete", "DELETE", "", refusal)


def guard_holds() -> None:
    """A hold resolves once: resolved, it changes no more. Its amount and allowance never change."""
    refusal = "a hold keeps its amount and allowance, and is resolved once"
    changes = f"OLD.state = 'resolved' OR {_differs(['id', 'amount', 'allowance_id', 'workload_id'])}"
    condition = f"WHEN {changes}" if _is_sqlite() else f"WHEN ({changes})"
    trigger = _sqlite_trigger if _is_sqlite() else _postgres_trigger
    trigger("holds", "resolved_once", "UPDATE", condition, refusal)
    trigger("holds", "no_delete", "DELETE", "", refusal)


def refuse_closed_periods(table: str) -> None:
    """Refuse a posting dated inside a period that is closed."""
    refusal = f"{table} are closed for that period"
    inside = "SELECT 1 FROM period_closings WHERE state = 'closed' AND starts_at <= NEW.at AND NEW.at < ends_at"
    if _is_sqlite():
        _sqlite_trigger(table, "closed_period", "INSERT", f"WHEN EXISTS ({inside})", refusal)
        return
    # A trigger's condition cannot ask another table there: its function does.
    op.execute(
        f"CREATE FUNCTION {table}_closed_period() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF EXISTS ({inside}) THEN "
        f"RAISE EXCEPTION '{refusal}' USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_closed_period BEFORE INSERT ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_closed_period()"
    )


def _sqlite_trigger(table: str, name: str, event: str, condition: str, refusal: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} {condition} "
        f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
    )


def _postgres_trigger(table: str, name: str, event: str, condition: str, refusal: str) -> None:
    op.execute(
        f"CREATE FUNCTION {table}_{name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{refusal}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} "
        f"FOR EACH ROW {condition} EXECUTE FUNCTION {table}_{name}()"
    )


def _differs(columns: Sequence[str]) -> str:
    return " OR ".join(f"OLD.{column} <> NEW.{column}" for column in columns)


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"
