"""Bookings as people see them: what is kept for whom, what it costs, and how much of it went unused."""

from dataclasses import dataclass

from scheduler.domain.bookings import BookingPhase
from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.units import Instant, WorkloadId
from scheduler.domain.workloads import Attempt, AttemptState, Workload, WorkloadKind, WorkloadState
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.booked_time import is_given_up, of_time_ahead
from scheduler.lifecycle.running.charge import gpu_ms_of
from scheduler.ports import Books

LOOKED_AT = 200
"""Of the caller's latest workloads, so many are looked through for bookings that are over."""

_NOTICES = frozenset({Reason.BOOKING_MOVED, Reason.BOOKING_AT_RISK, Reason.BOOKING_MISSED})
_SEES_ALL = (Role.OPERATOR, Role.AUDITOR, Role.FINANCE)


@dataclass(frozen=True, slots=True)
class BookingView:
    """`held` and `charged` are in standard GPU-milliseconds; `used_inside` and `unused`, of the time that it has had of
    its window, in physical ones. `late_fee` is what cancelling it now costs beside what is charged. `runs_inside` are
    workloads."""

    id: WorkloadId
    name: str
    owner: str
    team: str
    project: str | None
    gpu_class: str
    gpus: int
    nodes: tuple[str, ...]
    phase: BookingPhase
    starts_at: Instant
    ends_at: Instant
    held: int
    charged: int
    used_inside: int
    unused: int
    late_fee: int
    runs_inside: tuple[WorkloadId, ...]
    notice: str = ""
    """What its owner should know of its nodes: that they changed, or that it cannot be kept or could not be begun."""


def bookings_of(books: Books, world: World, caller: Caller, now: Instant) -> list[BookingView]:
    """Those that are ahead or active of the caller's team (of everybody, for who runs the platform or audits it), and
    the caller's own that are over; by their starts."""
    live = [w for w in list(world.workloads.values()) if w.spec.kind is WorkloadKind.BOOKING]
    found = {workload.id: workload for workload in live if _may_see(caller, workload)}
    if caller.engineer is not None:
        latest = books.workloads.page(owner=caller.engineer, limit=LOOKED_AT)
        found.update((w.id, w) for w in latest if w.spec.kind is WorkloadKind.BOOKING)
    views = [_view(books, world, workload, now) for workload in found.values()]
    return sorted(views, key=lambda view: (view.starts_at, view.id))


def booking_of(books: Books, world: World, caller: Caller, booking_id: WorkloadId, now: Instant) -> BookingView:
    """One of them. To who may not see it, it does not exist."""
    workload = world.workloads.get(booking_id) or books.workloads.get(booking_id)
    if workload is None or workload.spec.kind is not WorkloadKind.BOOKING or not _may_see(caller, workload):
        raise NotFound(
            f"there is no booking {booking_id!r}", code=RefusalCode.UNKNOWN_BOOKING, remedy="see `allot booking list`"
        )
    return _view(books, world, workload, now)


def _may_see(caller: Caller, workload: Workload) -> bool:
    return caller.engineer == workload.owner or caller.team == workload.team or caller.has(*_SEES_ALL)


def _view(books: Books, world: World, workload: Workload, now: Instant) -> BookingView:
    [attempt] = books.attempts.of_workload(workload.id)
    inside = books.attempts.inside([workload.id])[workload.id]
    runs = books.attempts.pods_of([attempt.id, *(each.id for each in inside)])
    used = sum(gpu_ms_of(runs[each.id], min(now, attempt.booked_until)) for each in inside)
    left = sum(
        hold.in_standard(hold.remaining, attempt)
        for hold in books.holds.of_attempt(attempt.id)
        if hold.resolved_at is None
    )
    passed = gpu_ms_of(runs[attempt.id], min(now, attempt.booked_until))
    owner = world.people.get(workload.owner)
    return BookingView(
        id=workload.id,
        name=workload.spec.name,
        owner=owner.subject if owner is not None else workload.owner,
        team=workload.team,
        project=workload.spec.project,
        gpu_class=attempt.gpu_class,
        gpus=attempt.gpus,
        nodes=tuple(name for name, _ in attempt.placement.pods_by_node),
        phase=_phase(workload, attempt, now),
        starts_at=attempt.launched_at,
        ends_at=attempt.booked_until,
        held=left,
        charged=attempt.charged,
        used_inside=used,
        unused=max(0, passed - used),
        late_fee=_late_fee(world, attempt, of_time_ahead(left, attempt, runs[attempt.id], now), now),
        runs_inside=tuple(each.workload_id for each in inside if each.is_live),
        notice=_notice(world, workload.id),
    )


def _late_fee(world: World, attempt: Attempt, left: int, now: Instant) -> int:
    if not attempt.is_live or is_given_up(world, attempt, now):
        return 0
    return world.require_policy().bookings.late_fee(left, attempt.launched_at, now)


def _notice(world: World, booking_id: WorkloadId) -> str:
    verdict = world.verdicts.get(booking_id)
    if verdict is None or verdict.reason not in _NOTICES:
        return ""
    return sentence(verdict.reason, verdict.evidence)


def _phase(workload: Workload, attempt: Attempt, now: Instant) -> BookingPhase:
    if attempt.state is AttemptState.ENDED:
        return BookingPhase.CANCELLED if workload.state is WorkloadState.CANCELLED else BookingPhase.OVER
    return BookingPhase.ACTIVE if attempt.launched_at <= now else BookingPhase.BOOKED
