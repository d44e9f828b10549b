"""Closed periods, their differences and what became of those, in SQL; and what a reconciliation is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, func, or_, select

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.inside import booked_until, bookings
from scheduler.adapters.sql.querying import insert_all, next_number
from scheduler.adapters.sql.tables.journal import accounts, entries, transactions
from scheduler.adapters.sql.tables.periods import differences, period_closings, settlements
from scheduler.adapters.sql.tables.samples import gpu_hours, gpus
from scheduler.adapters.sql.tables.workloads import attempts, pods
from scheduler.domain.records import PodRun
from scheduler.domain.units import MS_PER_HOUR, AttemptId, Instant, NodeName
from scheduler.finance.proving.ports import Booked, SeenUse
from scheduler.finance.reconciling.closing import Closing, ClosingState
from scheduler.finance.reconciling.reconciliation import Difference, Settlement
from scheduler.ledger.journal import AccountKind

_CLOSING = RowCodec(Closing, period_closings)
_SETTLEMENT = RowCodec(Settlement, settlements)
_POD = RowCodec(PodRun, pods)


@dataclass(frozen=True, slots=True)
class SqlPeriods:
    """A PeriodBook."""

    connection: Connection

    def add_step(self, step: Closing) -> Closing:
        kept = replace(step, seq=next_number(self.connection, period_closings.c.seq))
        insert_all(self.connection, period_closings, [_CLOSING.write(kept)])
        return kept

    def steps(self) -> list[Closing]:
        return _CLOSING.read_all(self.connection.execute(select(*_CLOSING.columns).order_by(period_closings.c.seq)))

    def closed(self) -> list[tuple[Instant, Instant]]:
        statement = select(period_closings.c.starts_at, period_closings.c.ends_at).where(
            period_closings.c.state == ClosingState.CLOSED.value
        )
        return [(Instant(starts_at), Instant(ends_at)) for starts_at, ends_at in self.connection.execute(statement)]

    def add_differences(self, found: Sequence[Difference], at: Instant) -> None:
        first = next_number(self.connection, differences.c.seq)
        rows = [
            {
                "seq": first + place,
                "id": each.id,
                "period": each.period,
                "kind": each.kind.value,
                "subject": each.subject,
                "gpu_ms": each.gpu_ms,
                "detail": each.detail,
                "at": at,
            }
            for place, each in enumerate(found)
        ]
        insert_all(self.connection, differences, rows)

    def add_settlements(self, made: Sequence[Settlement]) -> None:
        first = next_number(self.connection, settlements.c.seq)
        rows = [_SETTLEMENT.write(each) | {"seq": first + place} for place, each in enumerate(made)]
        insert_all(self.connection, settlements, rows)

    def settlements(self, period: str) -> list[Settlement]:
        """In the order in which they were made: the last on a difference counts."""
        statement = (
            select(*_SETTLEMENT.columns)
            .where(settlements.c.difference_id.startswith(f"{period}/", autoescape=True))
            .order_by(settlements.c.seq)
        )
        return _SETTLEMENT.read_all(self.connection.execute(statement))

    # evidence

    def charged(self, starts_at: Instant, ends_at: Instant) -> dict[AttemptId, int]:
        statement = (
            select(transactions.c.attempt_id, func.sum(entries.c.gpu_ms))
            .select_from(accounts)
            .join(entries, entries.c.account_id == accounts.c.id)
            .join(transactions, transactions.c.seq == entries.c.transaction_seq)
            .where(
                accounts.c.kind == AccountKind.CHARGED.value,
                entries.c.at >= starts_at,
                entries.c.at < ends_at,
                transactions.c.attempt_id.is_not(None),
            )
            .group_by(transactions.c.attempt_id)
        )
        return {AttemptId(attempt): int(gpu_ms) for attempt, gpu_ms in self.connection.execute(statement)}

    def pods(self, starts_at: Instant, ends_at: Instant) -> list[PodRun]:
        statement = select(*_POD.columns).where(
            pods.c.started_at < ends_at, or_(pods.c.ended_at.is_(None), pods.c.ended_at > starts_at)
        )
        return _POD.read_all(self.connection.execute(statement.order_by(pods.c.pod_uid)))

    def booked(self, starts_at: Instant, ends_at: Instant) -> dict[AttemptId, Booked]:
        statement = (
            select(attempts.c.id, bookings.c.id, booked_until)
            .join(bookings, bookings.c.workload_id == attempts.c.booking_id)
            .where(bookings.c.launched_at < ends_at, booked_until > starts_at)
        )
        return {
            AttemptId(attempt): Booked(AttemptId(booking), Instant(until))
            for attempt, booking, until in self.connection.execute(statement)
        }

    def seen(self, starts_at: Instant, ends_at: Instant) -> list[SeenUse]:
        first, last = starts_at // MS_PER_HOUR * MS_PER_HOUR, ends_at
        statement = (
            select(
                gpus.c.gpu_uuid,
                gpu_hours.c.node,
                gpu_hours.c.attempt_id,
                func.sum(gpu_hours.c.covered_ms),
                func.sum(gpu_hours.c.active_ms),
                func.sum(gpu_hours.c.windows),
            )
            .join(gpus, gpus.c.id == gpu_hours.c.gpu_id)
            .where(gpu_hours.c.hour >= first, gpu_hours.c.hour < last)
            .group_by(gpus.c.gpu_uuid, gpu_hours.c.node, gpu_hours.c.attempt_id)
            .order_by(gpus.c.gpu_uuid, gpu_hours.c.node, gpu_hours.c.attempt_id)
        )
        return [
            SeenUse(
                gpu, NodeName(node), AttemptId(attempt) if attempt else None, int(covered), int(active), int(windows)
            )
            for gpu, node, attempt, covered, active, windows in self.connection.execute(statement)
        ]
