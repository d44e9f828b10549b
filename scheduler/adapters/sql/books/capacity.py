"""What nodes offered over time, and what was made of it, in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, case, func, or_, select, update

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.inside import booked_until, bookings, is_inside
from scheduler.adapters.sql.querying import insert_all
from scheduler.adapters.sql.tables.capacity import node_spans
from scheduler.adapters.sql.tables.samples import gpu_hours
from scheduler.adapters.sql.tables.workloads import attempts, pods
from scheduler.domain.cluster import NodeSpan
from scheduler.domain.sizes import grown_by
from scheduler.domain.units import MS_PER_HOUR, AttemptId, Instant, NodeName
from scheduler.domain.workloads import Attempt
from scheduler.finance.reconciling.conservation import Tenure

_SPAN = RowCodec(NodeSpan, node_spans)
_ATTEMPT = RowCodec(Attempt, attempts)


@dataclass(frozen=True, slots=True)
class SqlCapacity:
    """A CapacityBook."""

    connection: Connection

    def open_spans(self) -> list[NodeSpan]:
        statement = select(*_SPAN.columns).where(node_spans.c.ends_at.is_(None)).order_by(node_spans.c.node)
        return _SPAN.read_all(self.connection.execute(statement))

    def change(self, *, ended: Sequence[NodeSpan], begun: Sequence[NodeSpan]) -> None:
        for span in ended:
            is_one = and_(node_spans.c.node == span.node, node_spans.c.starts_at == span.starts_at)
            self.connection.execute(update(node_spans).where(is_one).values(ends_at=span.ends_at))
        insert_all(self.connection, node_spans, [_SPAN.write(span) for span in begun])

    def spans(self, starts_at: Instant, ends_at: Instant) -> list[NodeSpan]:
        is_within = and_(
            node_spans.c.starts_at < ends_at, or_(node_spans.c.ends_at.is_(None), node_spans.c.ends_at > starts_at)
        )
        statement = select(*_SPAN.columns).where(is_within).order_by(node_spans.c.node, node_spans.c.starts_at)
        return _SPAN.read_all(self.connection.execute(statement))

    def tenures(self, starts_at: Instant, ends_at: Instant) -> list[Tenure]:
        is_within = and_(
            attempts.c.launched_at < ends_at,
            or_(pods.c.ended_at.is_(None), pods.c.ended_at > starts_at),
            pods.c.node.is_not(None),
            # What runs inside a booking has its time counted there, up to that one's end.
            or_(booked_until.is_(None), pods.c.ended_at.is_(None), pods.c.ended_at > booked_until),
        )
        # What stands for a booking has its GPUs from when they were free for it.
        held_from = case(
            (attempts.c.booking_id == attempts.c.workload_id, pods.c.started_at), else_=attempts.c.launched_at
        )
        statement = (
            select(
                pods.c.node,
                pods.c.gpus,
                held_from,
                pods.c.started_at,
                pods.c.billable_until,
                pods.c.ended_at,
                attempts.c.is_funded,
                attempts.c.id,
                booked_until,
            )
            .join(attempts, attempts.c.id == pods.c.attempt_id)
            .outerjoin(bookings, is_inside)
            .where(is_within)
            .order_by(pods.c.pod_uid)
        )
        rows = self.connection.execute(statement).all()
        resized = self._resized(starts_at, ends_at)
        return [
            _beyond(_since_it_grew(_tenure(*row), resized.get(attempt_id), ends_at), until)
            for *row, attempt_id, until in rows
        ]

    def _resized(self, starts_at: Instant, ends_at: Instant) -> dict[AttemptId, Attempt]:
        """The few that were resized, of the attempts of [starts_at, ends_at)."""
        statement = select(*_ATTEMPT.columns).where(
            attempts.c.launched_at < ends_at,
            or_(attempts.c.ended_at.is_(None), attempts.c.ended_at > starts_at),
            attempts.c.past_sizes != "[]",
        )
        return {each.id: each for each in _ATTEMPT.read_all(self.connection.execute(statement))}

    def taken_ms(self, starts_at: Instant, ends_at: Instant) -> Mapping[tuple[NodeName, Instant], int]:
        at_work = func.sum(gpu_hours.c.active_ms + gpu_hours.c.hung_ms)
        statement = (
            select(gpu_hours.c.node, gpu_hours.c.hour, at_work)
            .where(
                gpu_hours.c.attempt_id == "", gpu_hours.c.hour > starts_at - MS_PER_HOUR, gpu_hours.c.hour < ends_at
            )
            .group_by(gpu_hours.c.node, gpu_hours.c.hour)
        )
        return {(node, hour): int(ms) for node, hour, ms in self.connection.execute(statement)}


def _tenure(
    node: NodeName,
    gpus: int,
    launched_at: Instant,
    started_at: Instant | None,
    billed_until: Instant | None,
    ended_at: Instant | None,
    is_funded: int,
) -> Tenure:
    """Kubernetes stamps whole seconds, floored: a start may lie before the launch that it followed."""
    held_from = launched_at if started_at is None else min(launched_at, started_at)
    return Tenure(node, gpus, held_from, started_at, billed_until, ended_at, bool(is_funded))


def _since_it_grew(tenure: Tenure, resized: Attempt | None, at: Instant) -> Tenure:
    """A pod by which an attempt grew had no GPU before that: until then somebody else may have had it."""
    if resized is None:
        return tenure
    came_at = tenure.started_at or tenure.ended_at or at
    grown_at = grown_by(resized, came_at)
    return tenure._replace(held_from=max(tenure.held_from, min(grown_at, came_at)))


def _beyond(tenure: Tenure, booked_until: Instant | None) -> Tenure:
    """Of what ran inside a booking, what lies beyond its end."""
    if booked_until is None:
        return tenure
    started_at = None if tenure.started_at is None else max(tenure.started_at, booked_until)
    return tenure._replace(held_from=max(tenure.held_from, booked_until), started_at=started_at)
