"""Samples in SQL: what agents send, kept in bulk."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, case, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from scheduler.adapters.sql.books.readings import hours_from, stretches_from
from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.querying import (
    execute_many,
    filtered_by_id,
    insert_all,
    next_number,
    pieces,
    rows_by_id,
    update_all,
)
from scheduler.adapters.sql.tables.samples import gpu_hours, gpu_windows, gpus, inventories, misuses, sample_refusals
from scheduler.adapters.sql.tables.workloads import attempts
from scheduler.domain.units import AttemptId, EngineerId, GpuUuid, Instant, NodeName
from scheduler.metering.devices import Inventory, KnownGpu
from scheduler.metering.misuse import Misuse
from scheduler.metering.never_idle import SHOWN_AFTER_MS, NeverIdle
from scheduler.metering.refusals import DEVICES_COUNTED_MAX, RefusedSample
from scheduler.metering.use import MARKS, SUMS, HourOfUse, Metered, Stretch, Use, hourly, total, use_of

_INVENTORY = RowCodec(Inventory, inventories)
_GPU = RowCodec(KnownGpu, gpus)
_MISUSE = RowCodec(Misuse, misuses)
_REFUSAL = RowCodec(RefusedSample, sample_refusals)
_DEVICES = select(*_GPU.columns)
_NUMBERED = select(gpus.c.gpu_uuid, gpus.c.id)
_STATE_SUMS = {"windows", "active_ms", "idle_held_ms", "hung_ms", "unknown_ms"}
_READINGS = [field.name for field in fields(Use) if field.name not in _STATE_SUMS]
"""What a window's row has of a use; the rest follows from its state and length."""


@dataclass(frozen=True, slots=True)
class SqlSamples:
    """A SampleBook."""

    connection: Connection

    # devices

    def put_inventory(self, inventory: Inventory) -> None:
        self.connection.execute(delete(inventories).where(inventories.c.node == inventory.node))
        insert_all(self.connection, inventories, [_INVENTORY.write(inventory)])

    def inventories(self) -> list[Inventory]:
        return _INVENTORY.read_all(self.connection.execute(select(*_INVENTORY.columns).order_by(inventories.c.node)))

    def gpus(self, uuids: Iterable[GpuUuid]) -> dict[GpuUuid, KnownGpu]:
        rows = rows_by_id(self.connection, _DEVICES, gpus.c.gpu_uuid, uuids)
        return {gpu.gpu_uuid: gpu for gpu in _GPU.read_all(rows)}

    def all_gpus(self) -> list[KnownGpu]:
        return _GPU.read_all(self.connection.execute(select(*_GPU.columns).order_by(gpus.c.gpu_uuid)))

    def put_gpus(self, changed: Sequence[KnownGpu]) -> None:
        ids = self._ids([gpu.gpu_uuid for gpu in changed])
        new = [gpu for gpu in changed if gpu.gpu_uuid not in ids]
        if new:
            first = next_number(self.connection, gpus.c.id)
            insert_all(self.connection, gpus, [_GPU.write(gpu) | {"id": first + n} for n, gpu in enumerate(new)])
        update_all(
            self.connection, gpus, gpus.c.gpu_uuid, [_GPU.write(gpu) for gpu in changed if gpu.gpu_uuid in ids]
        )

    def count_gpus(self, node: NodeName, since: Instant) -> int:
        recent = or_(gpus.c.end.is_(None), gpus.c.end >= since)
        statement = select(func.count()).select_from(gpus).where(gpus.c.node == node, recent)
        return int(self.connection.execute(statement).scalar_one())

    def forget_silent_gpus(self, node: NodeName, present: Collection[GpuUuid]) -> None:
        silent = and_(gpus.c.node == node, gpus.c.sequence.is_(None), gpus.c.gpu_uuid.not_in(sorted(present)))
        self.connection.execute(delete(gpus).where(silent))

    # windows

    def add(self, metered: Sequence[Metered]) -> None:
        """The windows, and what they add to their hours."""
        if not metered:
            return
        ids = self._ids([item.window.gpu_uuid for item in metered])
        insert_all(self.connection, gpu_windows, [_window_row(item, ids) for item in metered])
        rows = [_hour_row(hour, ids[hour.gpu_uuid]) for hour in hourly(metered)]
        execute_many(self.connection, _adding(self.connection.dialect.name), rows)

    def windows(self, uuids: Iterable[GpuUuid], starts_at: Instant, ends_at: Instant) -> list[Stretch]:
        names = {number: uuid for uuid, number in self._ids(uuids).items()}
        within = and_(gpu_windows.c.start >= starts_at, gpu_windows.c.start < ends_at)
        found: list[Stretch] = []
        for piece in pieces(names):
            statement = select(gpu_windows).where(gpu_windows.c.gpu_id.in_(piece), within)
            found += stretches_from(self.connection.execute(statement), names)
        return sorted(found, key=lambda stretch: (stretch.start, stretch.gpu_uuid))

    def hours(
        self,
        *,
        attempts: Sequence[AttemptId] | None = None,
        starts_at: Instant | None = None,
        ends_at: Instant | None = None,
        node: NodeName | None = None,
    ) -> list[HourOfUse]:
        statement = select(gpus.c.gpu_uuid, gpu_hours).join(gpus, gpus.c.id == gpu_hours.c.gpu_id)
        if starts_at is not None:
            statement = statement.where(gpu_hours.c.hour >= starts_at)
        if ends_at is not None:
            statement = statement.where(gpu_hours.c.hour < ends_at)
        if node is not None:
            statement = statement.where(gpu_hours.c.node == node)
        statement = statement.order_by(gpu_hours.c.gpu_id, gpu_hours.c.hour, gpu_hours.c.attempt_id)
        if attempts is None:
            return hours_from(self.connection.execute(statement))
        return hours_from(filtered_by_id(self.connection, statement, gpu_hours.c.attempt_id, attempts))

    def never_idle(self, since: Instant) -> list[NeverIdle]:
        of = gpu_hours.c
        milliwatts = func.min(of.millijoules * 1_000 // of.energy_ms)
        statement = (
            select(gpus.c.gpu_uuid, of.node, milliwatts)
            .join(gpu_hours, gpus.c.id == of.gpu_id)
            .where(gpus.c.idle_milliwatts.is_(None), of.hour >= since, of.percent_max == 0, of.energy_ms > 0)
            .where(of.active_ms >= SHOWN_AFTER_MS, of.hung_ms == 0)
            .group_by(gpus.c.gpu_uuid, of.node)
            .order_by(of.node, gpus.c.gpu_uuid)
        )
        rows = self.connection.execute(statement)
        return [NeverIdle(GpuUuid(uuid), NodeName(node), int(mean)) for uuid, node, mean in rows]

    def use_of(self, attempts: Sequence[AttemptId]) -> dict[AttemptId, Use]:
        by_attempt: dict[AttemptId, list[Use]] = {}
        for hour in self.hours(attempts=attempts):
            assert hour.attempt_id is not None, "asked for by attempt"
            by_attempt.setdefault(hour.attempt_id, []).append(hour.use)
        return {attempt_id: total(uses) for attempt_id, uses in by_attempt.items()}

    def use_between(
        self, starts_at: Instant, ends_at: Instant, owners: Collection[EngineerId] | None = None
    ) -> dict[AttemptId | None, Use]:
        columns = [func.sum(gpu_hours.c[name]) for name in SUMS] + [func.max(gpu_hours.c[name]) for name in MARKS]
        statement = (
            select(gpu_hours.c.attempt_id, *columns)
            .where(gpu_hours.c.hour >= starts_at, gpu_hours.c.hour < ends_at)
            .group_by(gpu_hours.c.attempt_id)
            .order_by(gpu_hours.c.attempt_id)
        )
        if owners is not None:
            theirs = select(attempts.c.id).where(attempts.c.owner.in_(sorted(owners)))
            statement = statement.where(gpu_hours.c.attempt_id.in_(theirs))
        found: dict[AttemptId | None, Use] = {}
        for attempt_id, *values in self.connection.execute(statement):
            # PostgreSQL adds whole numbers up to a decimal.
            whole: list[Any] = [None if value is None else int(value) for value in values]
            found[attempt_id or None] = Use(**dict(zip((*SUMS, *MARKS), whole, strict=True)))
        return found

    def energy_between(self, starts_at: Instant, ends_at: Instant) -> list[tuple[Instant, int]]:
        statement = (
            select(gpu_hours.c.hour, func.sum(gpu_hours.c.millijoules))
            .where(gpu_hours.c.hour >= starts_at, gpu_hours.c.hour < ends_at, gpu_hours.c.energy_ms > 0)
            .group_by(gpu_hours.c.hour)
            .order_by(gpu_hours.c.hour)
        )
        return [(Instant(hour), int(millijoules)) for hour, millijoules in self.connection.execute(statement)]

    # refusals and retention

    def refuse(self, refused: Sequence[RefusedSample]) -> None:
        by_key: dict[tuple[str, ...], dict[str, Any]] = {}
        counted: dict[tuple[str, str], set[str]] = {}
        for item in refused:
            sort = item.node, item.code
            if sort not in counted:
                counted[sort] = self._devices_refused(*sort)
            devices = counted[sort]
            if len(devices) < DEVICES_COUNTED_MAX:
                devices.add(item.gpu_uuid)
            row = _REFUSAL.write(item) | {"gpu_uuid": item.gpu_uuid if item.gpu_uuid in devices else ""}
            known = by_key.setdefault((item.node, row["gpu_uuid"], item.code), row)
            if known is not row:
                known |= {"count": known["count"] + item.count, "last_at": item.last_at, "detail": item.detail}
        if by_key:
            execute_many(self.connection, _counting(self.connection.dialect.name), list(by_key.values()))

    def _devices_refused(self, node: str, code: str) -> set[str]:
        of = sample_refusals.c
        statement = select(of.gpu_uuid).where(of.node == node, of.code == code, of.gpu_uuid != "")
        return set(self.connection.execute(statement).scalars())

    def refusals(self, limit: int = 100) -> list[RefusedSample]:
        statement = select(*_REFUSAL.columns).order_by(sample_refusals.c.last_at.desc()).limit(limit)
        return _REFUSAL.read_all(self.connection.execute(statement))

    def note_misuses(self, seen: Sequence[Misuse]) -> None:
        if seen:
            statement = _inserting(self.connection.dialect.name, misuses)
            changed = ("name", "holder", "last_at", "windows", "memory_bytes_max", "sm_percent_max")
            noting = statement.on_conflict_do_update(
                index_elements=list(misuses.primary_key), set_={name: statement.excluded[name] for name in changed}
            )
            self.connection.execute(noting, [_MISUSE.write(each) for each in seen])

    def misuses(self, since: Instant, limit: int = 100) -> list[Misuse]:
        statement = select(*_MISUSE.columns).where(misuses.c.last_at >= since)
        return _MISUSE.read_all(
            self.connection.execute(statement.order_by(misuses.c.last_at.desc(), misuses.c.gpu_uuid).limit(limit))
        )

    def prune(self, windows_before: Instant, hours_before: Instant, devices: int = 200) -> int:
        """Device by device: one whose oldest window is due loses all that are. Bounded, so that nobody waits long."""
        oldest = select(func.min(gpu_windows.c.start)).where(gpu_windows.c.gpu_id == gpus.c.id).scalar_subquery()
        due = self.connection.execute(select(gpus.c.id).where(oldest < windows_before).limit(devices)).scalars().all()
        dropped = 0
        for gpu_id in due:
            mine = and_(gpu_windows.c.gpu_id == gpu_id, gpu_windows.c.start < windows_before)
            dropped += self.connection.execute(delete(gpu_windows).where(mine)).rowcount
        dropped += self.connection.execute(delete(gpu_hours).where(gpu_hours.c.hour < hours_before)).rowcount
        return dropped

    def _ids(self, uuids: Iterable[GpuUuid]) -> Mapping[GpuUuid, int]:
        ids: dict[GpuUuid, int] = dict(rows_by_id(self.connection, _NUMBERED, gpus.c.gpu_uuid, uuids))
        return ids


def _window_row(item: Metered, ids: Mapping[GpuUuid, int]) -> dict[str, Any]:
    window, use = item.window, use_of(item.window, item.state, item.cpu_millicores)
    return {
        "gpu_id": ids[window.gpu_uuid],
        "start": window.start,
        "end": window.end,
        "sequence": window.sequence,
        "state": item.state.value,
        "attempt_id": item.attempt_id,
        "process_count": window.process_count_max,
        **{name: getattr(use, name) for name in _READINGS},
    }


def _hour_row(hour: HourOfUse, gpu_id: int) -> dict[str, Any]:
    return {
        "gpu_id": gpu_id,
        "hour": hour.hour,
        "attempt_id": hour.attempt_id or "",
        "node": hour.node,
        **{field.name: getattr(hour.use, field.name) for field in fields(Use)},
    }


def _inserting(dialect: str, table: Table) -> Any:
    return (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)


@lru_cache
def _adding(dialect: str) -> Any:
    """Insert an hour, or add to it."""
    statement = _inserting(dialect, gpu_hours)
    new = statement.excluded
    changes = {name: gpu_hours.c[name] + new[name] for name in SUMS}
    marks = {name: _higher(gpu_hours.c[name], new[name]) for name in MARKS}
    key = [gpu_hours.c.gpu_id, gpu_hours.c.hour, gpu_hours.c.attempt_id]
    return statement.on_conflict_do_update(index_elements=key, set_={**changes, **marks, "node": new.node})


def _higher(known: ColumnElement[Any], new: ColumnElement[Any]) -> ColumnElement[Any]:
    """The greater; one that is NULL gives way."""
    return case((known.is_(None), new), (new > known, new), else_=known)


@lru_cache
def _counting(dialect: str) -> Any:
    statement = _inserting(dialect, sample_refusals)
    new = statement.excluded
    known = sample_refusals.c
    return statement.on_conflict_do_update(
        index_elements=[known.node, known.gpu_uuid, known.code],
        set_={"count": known["count"] + new["count"], "last_at": new.last_at, "detail": new.detail},
    )
