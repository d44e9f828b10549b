"""Workloads in SQL: written by version, read by id, state and page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Select, func, select, tuple_

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.querying import insert_all, rows_by_id, update_all
from scheduler.adapters.sql.sealing import Sealing
from scheduler.adapters.sql.tables.workloads import workloads
from scheduler.domain.digits import whole_number_in
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import EngineerId, JobUid, TeamName, WorkloadId
from scheduler.domain.workloads import LASTING, Workload, WorkloadState, WorkloadTitle

_WORKLOAD = RowCodec(Workload, workloads)
_UNFINISHED = [state.value for state in WorkloadState if not state.is_final]

_WORKLOADS = select(*_WORKLOAD.columns)
_SPECS = select(workloads.c.id, workloads.c.spec)
_JOB_UIDS = select(workloads.c.job_uid)
_VERSIONS = select(workloads.c.id, workloads.c.version).with_for_update()


@dataclass(frozen=True, slots=True)
class SqlWorkloads:
    """A WorkloadBook."""

    connection: Connection
    sealing: Sealing

    def add(self, added: Sequence[Workload]) -> None:
        rows = [_WORKLOAD.write(workload) for workload in added]
        insert_all(self.connection, workloads, rows)
        self.sealing.written(workloads, rows)

    def get(self, workload_id: WorkloadId) -> Workload | None:
        return self._first(select(*_WORKLOAD.columns).where(workloads.c.id == workload_id))

    def many(self, ids: Sequence[WorkloadId]) -> Mapping[WorkloadId, Workload]:
        rows = rows_by_id(self.connection, _WORKLOADS, workloads.c.id, ids)
        return {workload.id: workload for workload in _WORKLOAD.read_all(rows)}

    def titles(self, ids: Sequence[WorkloadId]) -> Mapping[WorkloadId, WorkloadTitle]:
        """The two fields alone are taken from the JSON: the whole value, checked, took four times as long."""
        found = {}
        for workload_id, text in rows_by_id(self.connection, _SPECS, workloads.c.id, ids):
            spec = orjson.loads(text)
            found[workload_id] = WorkloadTitle(spec["name"], spec.get("project"))
        return found

    def with_jobs(self, uids: Sequence[JobUid]) -> set[JobUid]:
        return {JobUid(uid) for (uid,) in rows_by_id(self.connection, _JOB_UIDS, workloads.c.job_uid, uids)}

    def save(self, saved: Sequence[Workload]) -> list[WorkloadId]:
        ids = [workload.id for workload in saved]
        stored: dict[str, int] = dict(rows_by_id(self.connection, _VERSIONS, workloads.c.id, ids))
        written, refused = [], []
        for workload in saved:
            if stored.get(workload.id) == workload.version - 1:
                stored[workload.id] = workload.version
                written.append(_WORKLOAD.write(workload))
            else:
                refused.append(workload.id)
        update_all(self.connection, workloads, workloads.c.id, written, LASTING)
        self.sealing.written(workloads, written)
        return refused

    def unfinished(self) -> list[Workload]:
        statement = select(*_WORKLOAD.columns).where(workloads.c.state.in_(_UNFINISHED)).order_by(workloads.c.id)
        return _WORKLOAD.read_all(self.connection.execute(statement))

    def page(
        self,
        *,
        owner: EngineerId | None = None,
        team: TeamName | None = None,
        states: Sequence[WorkloadState] | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Workload]:
        statement = _filtered(select(*_WORKLOAD.columns), owner, states)
        if team is not None:
            statement = statement.where(workloads.c.team == team)
        if before is not None:
            submitted_at, workload_id = _cursor(before)
            statement = statement.where(
                tuple_(workloads.c.submitted_at, workloads.c.id) < tuple_(submitted_at, workload_id)
            )
        statement = statement.order_by(workloads.c.submitted_at.desc(), workloads.c.id.desc()).limit(limit)
        return _WORKLOAD.read_all(self.connection.execute(statement))

    def count(self, *, owner: EngineerId | None = None, states: Sequence[WorkloadState] | None = None) -> int:
        statement = _filtered(select(func.count()).select_from(workloads), owner, states)
        return int(self.connection.execute(statement).scalar_one())

    def _first(self, statement: Select[*tuple[Any, ...]]) -> Workload | None:
        row = self.connection.execute(statement).first()
        return None if row is None else _WORKLOAD.read(row)


def _filtered(
    statement: Select[*tuple[Any, ...]], owner: EngineerId | None, states: Sequence[WorkloadState] | None
) -> Select[*tuple[Any, ...]]:
    if owner is not None:
        statement = statement.where(workloads.c.owner == owner)
    if states is not None:
        statement = statement.where(workloads.c.state.in_([state.value for state in states]))
    return statement


def _cursor(text: str) -> tuple[int, str]:
    submitted_at, separator, workload_id = text.partition("|")
    at = whole_number_in(submitted_at, digits_max=18)
    if not separator or at is None:
        raise InvalidInput(
            "the cursor belongs to another list",
            where="cursor",
            code=RefusalCode.INVALID_CURSOR,
            expected="the `next_cursor` of the page before, unchanged",
            remedy="begin without a cursor",
        )
    return at, workload_id
