"""Verdicts in SQL: added, never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.querying import insert_all, next_number, rows_by_id
from scheduler.adapters.sql.tables.verdicts import verdicts
from scheduler.adapters.sql.tables.workloads import workloads
from scheduler.domain.records import RecordedVerdict
from scheduler.domain.units import EngineerId, Instant, WorkloadId

_VERDICT = RowCodec(RecordedVerdict, verdicts)
_VERDICTS = select(*_VERDICT.columns)
_NEWEST_FIRST = _VERDICTS.order_by(verdicts.c.seq.desc())
_LATEST = select(func.max(verdicts.c.seq)).group_by(verdicts.c.workload_id)


@dataclass(frozen=True, slots=True)
class SqlVerdicts:
    """A VerdictBook."""

    connection: Connection

    def add(self, added: Sequence[RecordedVerdict]) -> None:
        if not added:
            return
        first = next_number(self.connection, verdicts.c.seq)
        rows = [_VERDICT.write(verdict) | {"seq": first + place} for place, verdict in enumerate(added)]
        insert_all(self.connection, verdicts, rows)

    def latest(self, ids: Sequence[WorkloadId]) -> Mapping[WorkloadId, RecordedVerdict]:
        seqs = [row[0] for row in rows_by_id(self.connection, _LATEST, verdicts.c.workload_id, ids)]
        return {
            v.workload_id: v for v in _VERDICT.read_all(rows_by_id(self.connection, _VERDICTS, verdicts.c.seq, seqs))
        }

    def of_workload(self, workload_id: WorkloadId, limit: int = 50) -> list[RecordedVerdict]:
        """Newest first."""
        statement = _NEWEST_FIRST.where(verdicts.c.workload_id == workload_id).limit(limit)
        return _VERDICT.read_all(self.connection.execute(statement))

    def of_owner(self, owner: EngineerId, *, until: Instant) -> list[RecordedVerdict]:
        statement = (
            select(*_VERDICT.columns)
            .join(workloads, workloads.c.id == verdicts.c.workload_id)
            .where(workloads.c.owner == owner, verdicts.c.at < until)
            .order_by(verdicts.c.workload_id, verdicts.c.seq)
        )
        return _VERDICT.read_all(self.connection.execute(statement))

    def recent(self, *, after_seq: int = 0, limit: int = 50) -> list[RecordedVerdict]:
        statement = _NEWEST_FIRST.where(verdicts.c.seq > after_seq).limit(limit)
        return _VERDICT.read_all(self.connection.execute(statement))
