"""Booking: GPUs of a class for a window, placed and paid when they are booked.

A booking is a workload without a Job, with one attempt that stands for its nodes. Its whole window is held at once,
charged from its start, used or not; what runs inside it is not paid for again. Rules: docs/adr/0016-bookings.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import gcd

from scheduler.domain.allowances import holders_for
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode
from scheduler.domain.funding import Shortfall, fund, payers
from scheduler.domain.people import Engineer
from scheduler.domain.periods import iso
from scheduler.domain.policy import Policy, Quota
from scheduler.domain.reasons import Reason
from scheduler.domain.terms import Need
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    AttemptId,
    GpuClassName,
    HoldId,
    Instant,
    PerMille,
    PriorityClassName,
    ProjectName,
    WorkloadId,
    whole_second,
)
from scheduler.domain.wording import counted
from scheduler.domain.workloads import Attempt, HoldMode, Workload, WorkloadKind, WorkloadSpec, WorkloadState
from scheduler.ledger.holding import hold, holds_for
from scheduler.lifecycle.asking.judge import new_workload, with_defaults
from scheduler.lifecycle.asking.short_of_hours import short_of_hours
from scheduler.lifecycle.asking.submit import judge_for
from scheduler.lifecycle.memory.prices_ahead import terms_of
from scheduler.lifecycle.running.free_ahead import as_known, free_in_window, may_hold, overlapping
from scheduler.lifecycle.running.rebooking import tightest_first
from scheduler.lifecycle.writing.batch import Batch

NewId = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class BookingWish:
    """So many GPUs of a class, from an instant on (or at once, where that has passed by less than a minute)."""

    gpu_class: GpuClassName
    gpus: int
    starts_at: Instant
    length_ms: int
    project: ProjectName | None
    name: str = "booking"
    uses_compensation: bool = False
    priority_class: PriorityClassName = PriorityClassName("")
    """The policy's default where it is left out."""


LEAST_FACTOR = PerMille(1000)
"""What is kept for somebody is at nobody's discount: no class makes a booking cheaper than this."""

LATE_STARTS_MS = 60_000
"""A start that has just passed means now: it was typed, sent and judged."""


def book(
    batch: Batch, owner: Engineer, wish: BookingWish, new_id: NewId, namespace: str, *, sees_pay: bool
) -> Workload:
    """Place it and hold its hours. Raises the Refusal that a person can act on, and then changes nothing."""
    policy = batch.world.require_policy()
    wish = replace(wish, starts_at=_start(wish, policy, batch.now))
    spec = _spec(batch, wish, policy)
    judge_for(batch.world, batch.books, spec, owner, batch.now)
    _require_quota(batch, owner, wish, policy)
    placement = _placement(batch, spec, wish)
    made = new_workload(
        spec, owner, workload_id=WorkloadId(new_id("bk")), namespace=namespace, now=batch.now, job_name=""
    )
    workload = replace(
        made,
        state=WorkloadState.LAUNCHING,
        state_reason=Reason.BOOKING_MADE,
        not_before=wish.starts_at,
    )
    attempt = _attempt(policy, workload, wish, placement, AttemptId(new_id("a")))
    held = _hold(batch, workload, attempt, new_id, sees_pay=sees_pay)
    batch.add_workload(workload)
    batch.add_attempt(attempt)
    batch.say(
        workload.id,
        Reason.BOOKING_MADE,
        {
            "gpus": wish.gpus,
            "gpu_class": wish.gpu_class,
            "nodes": ", ".join(name for name, _ in placement.pods_by_node),
            "from": iso(wish.starts_at),
            "until": iso(Instant(wish.starts_at + wish.length_ms)),
            "held_hours": f"{held / MS_PER_HOUR:.1f}",
        },
    )
    return workload


def _start(wish: BookingWish, policy: Policy, now: Instant) -> Instant:
    horizon = policy.bookings.horizon_ms
    if horizon == 0:
        raise InvalidInput("the policy takes no bookings", where="from", code=RefusalCode.INVALID_WINDOW)
    if wish.length_ms <= 0:
        raise InvalidInput("a booking needs a length", where="for", code=RefusalCode.INVALID_WINDOW)
    if not now - LATE_STARTS_MS <= wish.starts_at <= now + horizon:
        raise InvalidInput(
            f"a booking cannot start at {iso(wish.starts_at)}",
            where="from",
            code=RefusalCode.INVALID_WINDOW,
            expected=f"from now on, at most {horizon // MS_PER_DAY} days ahead",
        )
    return whole_second(max(wish.starts_at, now))  # so that no pod inside is stamped as if it had begun before


def _spec(batch: Batch, wish: BookingWish, policy: Policy) -> WorkloadSpec:
    """As pods: all on one node where a node is large enough, else as many equal parts as fit whole into its nodes."""
    largest = max((n.gpus for n in batch.world.nodes.values() if n.gpu_class == wish.gpu_class), default=0)
    part = wish.gpus if wish.gpus <= largest or largest == 0 else gcd(wish.gpus, largest)
    spec = WorkloadSpec(
        name=wish.name,
        kind=WorkloadKind.BOOKING,
        project=wish.project,
        gpu_classes=(wish.gpu_class,),
        priority_class=wish.priority_class,
        time_limit_ms=wish.length_ms,
        pods=max(1, wish.gpus // max(1, part)),
        pod=PodRequest(gpus=part, cpu_milli=0, memory_mib=0),
        grace_seconds=0,
        uses_compensation=wish.uses_compensation,
    )
    return with_defaults(spec, policy)


def _require_quota(batch: Batch, owner: Engineer, wish: BookingWish, policy: Policy) -> None:
    """Bookings of a pool keep within its nominal quota: what is borrowed can be taken back, and a booking cannot."""
    pool = policy.pool_of_team[owner.team]
    nominal = pool.quotas.get(wish.gpu_class, Quota(wish.gpu_class, 0)).nominal
    until = Instant(wish.starts_at + wish.length_ms)
    others = [
        (each.launched_at, each.booked_until, each.gpus)
        for each in batch.world.attempts.values()
        if each.is_booking and each.pool == pool.name and each.gpu_class == wish.gpu_class
    ]
    booked = overlapping(others, wish.starts_at, until)
    if booked + wish.gpus > nominal:
        raise Conflict(
            f"pool {pool.name} has {nominal} {wish.gpu_class} of its own, of which {booked} are booked in that time",
            code=RefusalCode.BOOKING_OVER_QUOTA,
            expected=f"at most {max(0, nominal - booked)} GPUs",
            remedy="book fewer GPUs or another time, or ask the operator for a larger quota",
        )


def _placement(batch: Batch, spec: WorkloadSpec, wish: BookingWish) -> Placement:
    until = Instant(wish.starts_at + wish.length_ms)
    nodes = sorted(n for n, node in batch.world.nodes.items() if may_hold(node, wish.gpu_class))
    on_node = as_known(batch.world)
    free = {name: free_in_window(batch.world, on_node, name, wish.starts_at, until, batch.now) for name in nodes}
    placement = tightest_first(free, spec.pods, spec.pod.gpus)
    if placement.pods < spec.pods:
        fitting = sum(max(0, each) // spec.pod.gpus * spec.pod.gpus for each in free.values())
        raise Conflict(
            f"from {iso(wish.starts_at)} until {iso(until)}, {fitting} of the {wish.gpus} {wish.gpu_class} can be kept: "
            "the others are booked, or what runs on them may run for longer",
            code=RefusalCode.BOOKING_CONFLICT,
            expected=f"at most {counted(fitting, 'GPU')} in that time",
            remedy="book fewer GPUs, another class or a later time; `allot booking list` shows what is booked",
        )
    return placement


def _attempt(
    policy: Policy, workload: Workload, wish: BookingWish, placement: Placement, attempt_id: AttemptId
) -> Attempt:
    terms = policy.priority_classes[workload.spec.priority_class]
    return Attempt(
        id=attempt_id,
        workload_id=workload.id,
        number=1,
        owner=workload.owner,
        team=workload.team,
        pool=policy.pool_of_team[workload.team].name,
        gpu_class=wish.gpu_class,
        priority_class=terms.name,
        placement=placement,
        pod=workload.spec.pod,
        weight=policy.gpu_classes[wish.gpu_class].weight,
        class_factor=max(terms.class_factor, LEAST_FACTOR),
        hold_mode=HoldMode.FULL,
        time_limit_ms=wish.length_ms,
        launched_at=wish.starts_at,
        grace_seconds=0,
        submitted_at=workload.submitted_at,
        booking_id=workload.id,
        booked_for=wish.project,
    )


def _hold(batch: Batch, workload: Workload, attempt: Attempt, new_id: NewId, *, sees_pay: bool) -> int:
    """Hold the whole window. Returns standard GPU-milliseconds."""
    terms = terms_of(attempt, batch.world.prices_at(batch.now))
    need = Need(attempt.gpus * attempt.time_limit_ms, terms)
    holders = set(holders_for(workload.owner, workload.team, workload.spec.project))
    known = [balance for balance in batch.world.balances.values() if balance.allowance.holder in holders]
    shares = fund(payers(known, workload.spec, attempt.gpu_class, batch.now), need)
    if isinstance(shares, Shortfall):
        remedy = "book fewer GPUs or a shorter time, or ask for hours"
        raise short_of_hours("the booking", shares, remedy=remedy, sees_pay=sees_pay)
    holds = holds_for(shares, [HoldId(new_id("h")) for _ in shares], workload.id, attempt.id, batch.now)
    batch.open_holds(holds)
    batch.post(*hold(holds))
    return need.standard
