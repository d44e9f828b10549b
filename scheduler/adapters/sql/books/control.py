"""Policies, brakes, commands, audit events, sandboxes and settings in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, or_, select, update

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.querying import insert_all, next_number, rows_by_id
from scheduler.adapters.sql.tables import control as tables
from scheduler.domain.brakes import STOP_RATE_WINDOW_MS, Brake, Pause, Stop
from scheduler.domain.records import AuditEvent, CommandRecord, PolicyVersion, Sandbox
from scheduler.domain.units import CommandId, Instant, WorkloadId

_POLICY = RowCodec(PolicyVersion, tables.policies)
_PAUSE = RowCodec(Pause, tables.pauses)
_STOP = RowCodec(Stop, tables.stops)
_COMMAND = RowCodec(CommandRecord, tables.commands)
_COMMANDS = select(*_COMMAND.columns)
_EVENT = RowCodec(AuditEvent, tables.audit_events)
_SANDBOX = RowCodec(Sandbox, tables.sandboxes)


@dataclass(frozen=True, slots=True)
class SqlControl:
    """A ControlBook."""

    connection: Connection

    def add_policy(self, version: PolicyVersion) -> None:
        """`seq` is given by the book."""
        seq = next_number(self.connection, tables.policies.c.seq)
        insert_all(self.connection, tables.policies, [_POLICY.write(version) | {"seq": seq}])

    def current_policy(self) -> PolicyVersion | None:
        newest = self.policies(limit=1)
        return newest[0] if newest else None

    def policies(self, limit: int = 50) -> list[PolicyVersion]:
        """Newest first."""
        statement = select(*_POLICY.columns).order_by(tables.policies.c.seq.desc()).limit(limit)
        return _POLICY.read_all(self.connection.execute(statement))

    def put_pause(self, pause: Pause) -> None:
        self.remove_pause(pause.brake)
        insert_all(self.connection, tables.pauses, [_PAUSE.write(pause)])

    def remove_pause(self, brake: Brake) -> None:
        self.connection.execute(delete(tables.pauses).where(tables.pauses.c.brake == brake.value))

    def pauses(self) -> list[Pause]:
        statement = select(*_PAUSE.columns).order_by(tables.pauses.c.brake)
        return _PAUSE.read_all(self.connection.execute(statement))

    def add_stops(self, stops: Sequence[Stop]) -> None:
        """Those that no rate looks at any more are dropped."""
        if not stops:
            return
        outdated = max(stop.at for stop in stops) - STOP_RATE_WINDOW_MS
        self.connection.execute(delete(tables.stops).where(tables.stops.c.at < outdated))
        first = next_number(self.connection, tables.stops.c.seq)
        rows = [_STOP.write(stop) | {"seq": first + place} for place, stop in enumerate(stops)]
        insert_all(self.connection, tables.stops, rows)

    def stops(self, since: Instant) -> list[Stop]:
        statement = select(*_STOP.columns).where(tables.stops.c.at >= since).order_by(tables.stops.c.seq)
        return _STOP.read_all(self.connection.execute(statement))

    def clear_stops(self, brake: Brake) -> None:
        self.connection.execute(delete(tables.stops).where(tables.stops.c.brake == brake.value))

    def command(self, command_id: CommandId) -> CommandRecord | None:
        rows = rows_by_id(self.connection, _COMMANDS, tables.commands.c.id, [command_id])
        return _COMMAND.read(rows[0]) if rows else None

    def add_command(self, record: CommandRecord) -> None:
        insert_all(self.connection, tables.commands, [_COMMAND.write(record)])

    def add_events(self, events: Sequence[AuditEvent]) -> None:
        """`seq` is given by the book."""
        first = next_number(self.connection, tables.audit_events.c.seq)
        rows = [_EVENT.write(event) | {"seq": first + place} for place, event in enumerate(events)]
        insert_all(self.connection, tables.audit_events, rows)

    def events(
        self, *, target: str | None = None, before_seq: int | None = None, limit: int = 100
    ) -> list[AuditEvent]:
        statement = select(*_EVENT.columns).order_by(tables.audit_events.c.seq.desc()).limit(limit)
        if target is not None:
            statement = statement.where(tables.audit_events.c.target == target)
        if before_seq is not None:
            statement = statement.where(tables.audit_events.c.seq < before_seq)
        return _EVENT.read_all(self.connection.execute(statement))

    def put_sandbox(self, sandbox: Sandbox) -> None:
        self.connection.execute(delete(tables.sandboxes).where(tables.sandboxes.c.workload_id == sandbox.workload_id))
        insert_all(self.connection, tables.sandboxes, [_SANDBOX.write(sandbox)])

    def sandbox(self, workload_id: WorkloadId) -> Sandbox | None:
        statement = select(*_SANDBOX.columns).where(tables.sandboxes.c.workload_id == workload_id)
        row = self.connection.execute(statement).first()
        return None if row is None else _SANDBOX.read(row)

    def note_served(self, workload_id: WorkloadId, at: Instant) -> None:
        known = tables.sandboxes.c
        is_news = or_(known.active_at.is_(None), known.active_at < at)
        statement = update(tables.sandboxes).where(known.workload_id == workload_id, is_news)
        self.connection.execute(statement.values(active_at=at))

    def setting(self, key: str) -> str | None:
        statement = select(tables.settings.c.value).where(tables.settings.c.key == key)
        value: str | None = self.connection.execute(statement).scalar()
        return value

    def put_setting(self, key: str, value: str) -> None:
        self.connection.execute(delete(tables.settings).where(tables.settings.c.key == key))
        insert_all(self.connection, tables.settings, [{"key": key, "value": value}])
