"""Idle clocks, exemptions and decisions in SQL."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.querying import filtered_by_id, insert_all, next_number, pieces
from scheduler.adapters.sql.tables.samples import idle_decisions, idle_exemptions, idle_watches
from scheduler.domain.idleness import Exemption, IdleDecision
from scheduler.domain.units import AttemptId, Instant, WorkloadId
from scheduler.metering.idle_clock import IdleWatch

_WATCH = RowCodec(IdleWatch, idle_watches)
_EXEMPTION = RowCodec(Exemption, idle_exemptions)
_DECISION = RowCodec(IdleDecision, idle_decisions)


@dataclass(frozen=True, slots=True)
class SqlIdleness:
    """An IdleBook."""

    connection: Connection

    def watches(self) -> list[IdleWatch]:
        statement = select(*_WATCH.columns).order_by(idle_watches.c.attempt_id)
        return _WATCH.read_all(self.connection.execute(statement))

    def watch(self, attempt_id: AttemptId) -> IdleWatch | None:
        statement = select(*_WATCH.columns).where(idle_watches.c.attempt_id == attempt_id)
        row = self.connection.execute(statement).first()
        return None if row is None else _WATCH.read(row)

    def save_watches(self, changed: Sequence[IdleWatch], ended: Collection[AttemptId] = ()) -> None:
        for piece in pieces([*ended, *(watch.attempt_id for watch in changed)]):
            self.connection.execute(delete(idle_watches).where(idle_watches.c.attempt_id.in_(piece)))
        insert_all(self.connection, idle_watches, [_WATCH.write(watch) for watch in changed])

    def exempt(self, exemption: Exemption) -> None:
        self.withdraw(exemption.workload_id)
        insert_all(self.connection, idle_exemptions, [_EXEMPTION.write(exemption)])

    def withdraw(self, workload_id: WorkloadId) -> None:
        self.connection.execute(delete(idle_exemptions).where(idle_exemptions.c.workload_id == workload_id))

    def exemptions(self, now: Instant) -> dict[WorkloadId, Exemption]:
        statement = select(*_EXEMPTION.columns).where(idle_exemptions.c.expires_at > now)
        found = _EXEMPTION.read_all(self.connection.execute(statement))
        return {exemption.workload_id: exemption for exemption in found}

    def decide(self, decisions: Sequence[IdleDecision]) -> None:
        if decisions:
            first = next_number(self.connection, idle_decisions.c.seq)
            rows = [_DECISION.write(decision) | {"seq": first + n} for n, decision in enumerate(decisions)]
            insert_all(self.connection, idle_decisions, rows)

    def decisions(
        self,
        *,
        workload_id: WorkloadId | None = None,
        attempts: Sequence[AttemptId] | None = None,
        limit: int = 100,
    ) -> list[IdleDecision]:
        statement = select(*_DECISION.columns).order_by(idle_decisions.c.seq.desc()).limit(limit)
        if workload_id is not None:
            statement = statement.where(idle_decisions.c.workload_id == workload_id)
        if attempts is None:
            return _DECISION.read_all(self.connection.execute(statement))
        return _DECISION.read_all(filtered_by_id(self.connection, statement, idle_decisions.c.attempt_id, attempts))
