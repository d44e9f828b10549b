"""The triggers that keep what was written, as text in both dialects: what migrations make and verification holds to."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trigger:
    """`event` as SQL writes it, `condition` without WHEN, empty where it always refuses.

    `body`, on PostgreSQL, is that of a function of the trigger's name; empty where the function is another trigger's.
    """

    name: str
    table: str
    event: str
    refusal: str
    condition: str = ""
    body: str = ""
    function: str = ""

    def on_sqlite(self) -> str:
        when = f"WHEN {self.condition}" if self.condition else ""
        return (
            f"CREATE TRIGGER {self.name} BEFORE {self.event} ON {self.table} {when} "
            f"BEGIN SELECT RAISE(ABORT, '{self.refusal}'); END"
        )

    def on_postgres(self) -> list[str]:
        made = []
        if not self.function:
            made.append(
                f"CREATE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $$ {self.postgres_body()} $$"
            )
        each = "STATEMENT" if self.event == "TRUNCATE" else "ROW"
        when = f"WHEN ({self.condition})" if self.condition else ""
        made.append(
            f"CREATE TRIGGER {self.name} BEFORE {self.event} ON {self.table} "
            f"FOR EACH {each} {when} EXECUTE FUNCTION {self.function or self.name}()"
        )
        return made

    def postgres_body(self) -> str:
        return self.body or f"BEGIN {self._raise()}; END"

    def _raise(self) -> str:
        return f"RAISE EXCEPTION '{self.refusal}' USING ERRCODE = 'integrity_constraint_violation'"


def append_only(table: str, unique: str | None, *, is_sqlite: bool) -> list[Trigger]:
    """Refuse UPDATE and DELETE, on PostgreSQL TRUNCATE too, and on SQLite an INSERT OR REPLACE over a row."""
    refusal = f"{table} is append-only"
    if not is_sqlite:
        change = f"{table}_no_change"
        return [
            Trigger(change, table, "UPDATE OR DELETE", refusal),
            Trigger(f"{table}_no_truncate", table, "TRUNCATE", refusal, function=change),
        ]
    same = "seq = NEW.seq" if unique is None else f"seq = NEW.seq OR {unique} = NEW.{unique}"
    replaces = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608  # names are ours
    return [
        Trigger(f"{table}_no_update", table, "UPDATE", refusal),
        Trigger(f"{table}_no_delete", table, "DELETE", refusal),
        Trigger(f"{table}_no_replace", table, "INSERT", refusal, replaces),
    ]


def accounts_stay() -> list[Trigger]:
    """An account keeps its name, and stays."""
    refusal = "an account keeps its id, kind, owner and unit"
    changes = _differs(["id", "kind", "owner", "unit"])
    return [
        Trigger("accounts_same_name", "accounts", "UPDATE", refusal, changes),
        Trigger("accounts_no_delete", "accounts", "DELETE", refusal),
    ]


def holds_resolve_once() -> list[Trigger]:
    """A hold resolves once: resolved, it changes no more. Its amount and allowance never change."""
    refusal = "a hold keeps its amount and allowance, and is resolved once"
    changes = f"OLD.state = 'resolved' OR {_differs(['id', 'amount', 'allowance_id', 'workload_id'])}"
    return [
        Trigger("holds_resolved_once", "holds", "UPDATE", refusal, changes),
        Trigger("holds_no_delete", "holds", "DELETE", refusal),
    ]


def closed_periods(table: str, *, is_sqlite: bool) -> list[Trigger]:
    """Refuse a posting dated inside a period that is closed."""
    refusal = f"{table} are closed for that period"
    inside = "SELECT 1 FROM period_closings WHERE state = 'closed' AND starts_at <= NEW.at AND NEW.at < ends_at"
    name = f"{table}_closed_period"
    if is_sqlite:
        return [Trigger(name, table, "INSERT", refusal, f"EXISTS ({inside})")]
    # A trigger's condition cannot ask another table there: its function does.
    body = (
        f"BEGIN IF EXISTS ({inside}) THEN "
        f"RAISE EXCEPTION '{refusal}' USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN NEW; END"
    )
    return [Trigger(name, table, "INSERT", refusal, body=body)]


def _differs(columns: Sequence[str]) -> str:
    return " OR ".join(f"OLD.{column} <> NEW.{column}" for column in columns)
