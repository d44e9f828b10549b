"""What steers the service: policies, brakes, commands, audit events, sandboxes' keys, settings."""

from sqlalchemy import Index

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of


class PolicyRow(Row, table=True):
    __tablename__ = "policies"
    __table_args__ = STRICT
    seq: int = columns.sequence()
    hash: str = columns.text()
    name: str = columns.text()
    text: str = columns.text()
    applied_at: int = columns.integer()
    applied_by: str = columns.text()


class PriceBookRow(Row, table=True):
    """Append-only."""

    __tablename__ = "price_books"
    __table_args__ = STRICT
    seq: int = columns.sequence()
    hash: str = columns.text()
    name: str = columns.text()
    text: str = columns.text()
    applied_at: int = columns.integer()
    applied_by: str = columns.text()


class PauseRow(Row, table=True):
    __tablename__ = "pauses"
    __table_args__ = STRICT
    brake: str = columns.text(primary_key=True)
    by: str = columns.text()
    why: str = columns.text()
    since: int = columns.integer()


class StopRow(Row, table=True):
    __tablename__ = "stops"
    __table_args__ = (Index(None, "at"), STRICT)
    seq: int = columns.sequence()
    brake: str = columns.text()
    at: int = columns.integer()
    gpus: int = columns.integer()


class CommandRow(Row, table=True):
    __tablename__ = "commands"
    __table_args__ = STRICT
    id: str = columns.text(primary_key=True)
    caller: str = columns.text()
    body_hash: str = columns.text()
    answer: str = columns.text()
    at: int = columns.integer()


class AuditEventRow(Row, table=True):
    """Append-only."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "target", "seq"), STRICT)
    seq: int = columns.sequence()
    at: int = columns.integer()
    actor: str = columns.text()
    role: str = columns.text()
    verb: str = columns.text()
    target: str = columns.text()
    request_id: str = columns.text()
    before: str = columns.text()
    after: str = columns.text()


class SandboxRow(Row, table=True):
    __tablename__ = "sandboxes"
    __table_args__ = STRICT
    workload_id: str = columns.text(primary_key=True, references="workloads.id")
    owner: str = columns.text()
    key: str = columns.text()
    extensions: int = columns.integer()
    active_at: int | None = columns.integer()


class SettingRow(Row, table=True):
    __tablename__ = "settings"
    __table_args__ = STRICT
    key: str = columns.text(primary_key=True)
    value: str = columns.text()


policies = table_of(PolicyRow)
price_books = table_of(PriceBookRow)
pauses = table_of(PauseRow)
stops = table_of(StopRow)
commands = table_of(CommandRow)
audit_events = table_of(AuditEventRow)
sandboxes = table_of(SandboxRow)
settings = table_of(SettingRow)
