"""GPU faults in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite

from scheduler.adapters.sql.codec import FieldCodec, RowCodec
from scheduler.adapters.sql.querying import execute_many
from scheduler.adapters.sql.tables.samples import gpu_faults
from scheduler.adapters.sql.tables.workloads import attempts
from scheduler.domain.units import Instant
from scheduler.domain.workloads import AttemptState
from scheduler.metering.gpu_faults import GpuFault

_FAULT = RowCodec(GpuFault, gpu_faults, FieldCodec("attempt_id", None, lambda text: text or None))
_KEY = ("gpu_uuid", "start", "xid", "attempt_id")
_JUDGING = (
    update(gpu_faults)
    .where(and_(*(gpu_faults.c[name] == bindparam(f"{name}_") for name in _KEY)))
    .values(is_judged=literal_column("1"))
)
_NOBODY = ""
"""A key has no NULL."""


@dataclass(frozen=True, slots=True)
class SqlGpuFaults:
    """A GpuFaultBook."""

    connection: Connection

    def note(self, seen: Sequence[GpuFault]) -> None:
        if seen:
            insert = sqlite.insert if self.connection.dialect.name == "sqlite" else postgresql.insert
            self.connection.execute(insert(gpu_faults).on_conflict_do_nothing(), [_row(fault) for fault in seen])

    def due(self, limit: int) -> list[GpuFault]:
        statement = (
            select(*_FAULT.columns)
            .join(attempts, attempts.c.id == gpu_faults.c.attempt_id)
            .where(gpu_faults.c.is_judged == 0, attempts.c.state == AttemptState.ENDED.value)
            .order_by(gpu_faults.c.attempt_id, gpu_faults.c.start, gpu_faults.c.gpu_uuid, gpu_faults.c.xid)
            .limit(limit)
        )
        return _FAULT.read_all(self.connection.execute(statement))

    def judge(self, judged: Sequence[GpuFault]) -> None:
        if judged:
            execute_many(self.connection, _JUDGING, [_row(fault) for fault in judged])

    def since(self, at: Instant, limit: int = 100) -> list[GpuFault]:
        latest_first = (gpu_faults.c.end.desc(), gpu_faults.c.gpu_uuid, gpu_faults.c.xid, gpu_faults.c.attempt_id)
        statement = select(*_FAULT.columns).where(gpu_faults.c.end >= at).order_by(*latest_first).limit(limit)
        return _FAULT.read_all(self.connection.execute(statement))

    def prune(self, before: Instant) -> int:
        return self.connection.execute(delete(gpu_faults).where(gpu_faults.c.end < before)).rowcount


def _row(fault: GpuFault) -> dict[str, Any]:
    return _FAULT.write(fault) | {"attempt_id": fault.attempt_id or _NOBODY}
