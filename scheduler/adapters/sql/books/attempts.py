"""Attempts, their pods, and reservations in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.querying import insert_all, pieces, rows_by_id, update_all, upsert_all
from scheduler.adapters.sql.sealing import Sealing
from scheduler.adapters.sql.tables.workloads import attempts, pods, reservations
from scheduler.decision.snapshot import Reservation
from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.records import PodRun
from scheduler.domain.units import AttemptId, Instant, PodUid, WorkloadId
from scheduler.domain.workloads import LASTING_OF_ATTEMPTS, Attempt, AttemptState

_ATTEMPT = RowCodec(Attempt, attempts)
_POD = RowCodec(PodRun, pods)
_RESERVATION = RowCodec(Reservation, reservations)
_LIVE = [state.value for state in AttemptState if state is not AttemptState.ENDED]

_ATTEMPTS = select(*_ATTEMPT.columns)
_IN_TURN = _ATTEMPTS.order_by(attempts.c.number, attempts.c.id)
_PODS = select(*_POD.columns).order_by(pods.c.pod_uid)


@dataclass(frozen=True, slots=True)
class SqlAttempts:
    """An AttemptBook."""

    connection: Connection
    sealing: Sealing

    def add(self, added: Sequence[Attempt]) -> None:
        rows = [_ATTEMPT.write(attempt) for attempt in added]
        insert_all(self.connection, attempts, rows)
        self.sealing.written(attempts, rows)

    def get(self, attempt_id: AttemptId) -> Attempt | None:
        return self.many([attempt_id]).get(attempt_id)

    def save(self, saved: Sequence[Attempt]) -> None:
        """Raises NotFound where one was never added."""
        rows = [_ATTEMPT.write(attempt) for attempt in saved]
        if update_all(self.connection, attempts, attempts.c.id, rows, LASTING_OF_ATTEMPTS) < len(rows):
            known = self.many([attempt.id for attempt in saved])
            missing = next(attempt.id for attempt in saved if attempt.id not in known)
            raise NotFound(f"there is no attempt {missing}", code=RefusalCode.STALE)
        self.sealing.written(attempts, rows)

    def live(self) -> list[Attempt]:
        statement = select(*_ATTEMPT.columns).where(attempts.c.state.in_(_LIVE)).order_by(attempts.c.id)
        return _ATTEMPT.read_all(self.connection.execute(statement))

    def ended_since(self, at: Instant) -> list[Attempt]:
        """In the order of their ends. Reads all attempts: asked at the start alone, where fair share looks back."""
        statement = (
            select(*_ATTEMPT.columns).where(attempts.c.ended_at >= at).order_by(attempts.c.ended_at, attempts.c.id)
        )
        return _ATTEMPT.read_all(self.connection.execute(statement))

    def of_workload(self, workload_id: WorkloadId) -> list[Attempt]:
        """In the order of their numbers."""
        return self.of_workloads([workload_id])[workload_id]

    def inside(self, ids: Sequence[WorkloadId]) -> Mapping[WorkloadId, list[Attempt]]:
        found: dict[WorkloadId, list[Attempt]] = {booking_id: [] for booking_id in ids}
        for attempt in _ATTEMPT.read_all(rows_by_id(self.connection, _IN_TURN, attempts.c.booking_id, ids)):
            if attempt.is_inside and attempt.booking_id is not None:
                found[attempt.booking_id].append(attempt)
        return found

    def of_workloads(self, ids: Sequence[WorkloadId]) -> Mapping[WorkloadId, list[Attempt]]:
        found: dict[WorkloadId, list[Attempt]] = {workload_id: [] for workload_id in ids}
        for attempt in _ATTEMPT.read_all(rows_by_id(self.connection, _IN_TURN, attempts.c.workload_id, ids)):
            found[attempt.workload_id].append(attempt)
        return found

    def many(self, ids: Sequence[AttemptId]) -> Mapping[AttemptId, Attempt]:
        rows = rows_by_id(self.connection, _ATTEMPTS, attempts.c.id, ids)
        return {attempt.id: attempt for attempt in _ATTEMPT.read_all(rows)}

    def save_pods(self, runs: Sequence[PodRun]) -> None:
        """New ones are added, known ones overwritten; of two with one uid the last counts."""
        latest = {run.pod_uid: _POD.write(run) for run in runs}
        upsert_all(self.connection, pods, pods.c.pod_uid, list(latest.values()))
        self.sealing.written(pods, latest.values())

    def pods_of(self, ids: Sequence[AttemptId]) -> Mapping[AttemptId, list[PodRun]]:
        found: dict[AttemptId, list[PodRun]] = {attempt_id: [] for attempt_id in ids}
        for run in _POD.read_all(rows_by_id(self.connection, _PODS, pods.c.attempt_id, ids)):
            found[run.attempt_id].append(run)
        return found

    def pod(self, uid: PodUid) -> PodRun | None:
        row = self.connection.execute(select(*_POD.columns).where(pods.c.pod_uid == uid)).first()
        return None if row is None else _POD.read(row)

    def save_reservations(self, changes: Mapping[WorkloadId, Reservation | None]) -> None:
        for piece in pieces(changes):
            self.connection.execute(delete(reservations).where(reservations.c.workload_id.in_(piece)))
        kept = [_RESERVATION.write(reservation) for reservation in changes.values() if reservation is not None]
        insert_all(self.connection, reservations, kept)

    def reservations(self) -> list[Reservation]:
        statement = select(*_RESERVATION.columns).order_by(reservations.c.workload_id)
        return _RESERVATION.read_all(self.connection.execute(statement))
