"""Record a plan: one transaction of holds, attempts, victims and verdicts. Intent is committed before any call.

An intent whose workload, allowances or victims changed since the snapshot is refused alone; the others stand, so
that a stream of submissions never starves the cycle.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from scheduler.decision.plan import Growth, Launch, Plan, Preemption, Verdict, Victim
from scheduler.decision.snapshot import Reservation
from scheduler.domain.brakes import Brake
from scheduler.domain.policy import Policy
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_MINUTE, AllowanceId, AttemptId, HoldId, Instant, WorkloadId
from scheduler.domain.usage import begins_to_age
from scheduler.domain.workloads import Attempt, AttemptState, ElasticTerms, HoldMode, Workload, WorkloadState
from scheduler.ledger.holding import hold, holds_for, release
from scheduler.ledger.holds import Hold
from scheduler.lifecycle.running.outcome import ran_ms
from scheduler.lifecycle.running.resize import give_back, take_more
from scheduler.lifecycle.running.sheltering import Sheltering
from scheduler.lifecycle.writing.batch import Batch

NewId = Callable[[str], str]


def record(batch: Batch, plan: Plan, new_id: NewId) -> list[WorkloadId]:
    """Write the plan into the batch. Returns the workloads whose intents were refused: they are judged again."""
    refused: list[WorkloadId] = []
    spent: dict[AllowanceId, int] = {}
    sheltering = Sheltering(batch)
    for workload_id in plan.ageing:
        grow_old(batch, workload_id, plan.now)
    for workload_id in plan.lapsed:
        drop_reservation(batch, workload_id)
    for warning in plan.warnings:
        batch.say(warning.workload_id, warning.reason, warning.evidence)
    for launch in plan.launches:
        if not _record_launch(batch, launch, spent, new_id, sheltering):
            refused.append(launch.workload_id)
    for preemption in plan.preemptions:
        if not _record_preemption(batch, preemption, spent, new_id):
            refused.append(preemption.launch.workload_id)
    for growth in plan.growths:
        if not _record_growth(batch, growth, spent, new_id):
            refused.append(growth.workload_id)
    for verdict in plan.verdicts:
        if verdict.workload_id not in refused and _is_news(batch, verdict):
            batch.say(verdict.workload_id, verdict.reason, verdict.evidence)
    return refused


def grow_old(batch: Batch, workload_id: WorkloadId, now: Instant) -> None:
    """It begins to grow old. That is kept through its launch, too: being preempted makes nobody younger."""
    workload = batch.workload(workload_id)
    if workload is not None and workload.state is WorkloadState.QUEUED:
        batch.change_workload(workload, ages_from=begins_to_age(workload, now))


def _is_news(batch: Batch, verdict: Verdict) -> bool:
    """A verdict is kept when its code changes: not where it says again, in less detail, what was said last, nor of work
    that was cancelled after the snapshot was taken."""
    workload = batch.workload(verdict.workload_id)
    if workload is None or workload.state not in {WorkloadState.QUEUED, WorkloadState.LAUNCHING}:
        return False
    known = batch.world.verdicts.get(verdict.workload_id)
    return known is None or known.reason is not verdict.reason


def drop_reservation(batch: Batch, workload_id: WorkloadId) -> None:
    """Give up what was set aside for a workload: capacity and hours. They come back as of when it lapsed, if it has."""
    holds = batch.books.holds.reserved_for(workload_id)
    reserved = batch.world.reservations.get(workload_id)
    batch.post(*release(holds, batch.now if reserved is None else min(batch.now, reserved.until)))
    batch.resolve_holds(item.id for item in holds)
    batch.reserve(workload_id, None)


def _record_launch(
    batch: Batch, launch: Launch, spent: dict[AllowanceId, int], new_id: NewId, sheltering: Sheltering
) -> bool:
    workload = batch.workload(launch.workload_id)
    if workload is None or workload.state is not WorkloadState.QUEUED:
        return False
    if launch.booking_id is not None and batch.live_attempt(launch.booking_id) is None:
        return False
    if not _has_terms(batch, workload, launch):
        return False
    attempt = _new_attempt(batch, workload, launch, AttemptId(new_id("a")))
    if launch.is_reserved:
        if not _take_over_reservation(batch, workload, attempt):
            return False
    elif not _open_holds(batch, launch, attempt.id, spent, new_id):
        return False
    batch.change_workload(workload, state=WorkloadState.LAUNCHING, state_reason=Reason.LAUNCHING)
    batch.add_attempt(sheltering.sheltered(attempt))
    return True


def _has_terms(batch: Batch, workload: Workload, launch: Launch) -> bool:
    """Whether the policy in force still has the classes: another may have come since the plan was made."""
    return batch.world.require_policy().has_classes_of(workload.spec.priority_class, [launch.gpu_class])


def _new_attempt(batch: Batch, workload: Workload, launch: Launch, attempt_id: AttemptId) -> Attempt:
    """The attempt with the terms of the policy in force: it keeps them though the policy may change."""
    policy = batch.world.require_policy()
    priority_class = policy.priority_classes[workload.spec.priority_class]
    return Attempt(
        id=attempt_id,
        workload_id=workload.id,
        number=batch.attempts_made(workload.id) + 1,
        owner=workload.owner,
        team=workload.team,
        pool=launch.pool,
        gpu_class=launch.gpu_class,
        priority_class=workload.spec.priority_class,
        placement=launch.placement,
        pod=workload.spec.pod,
        weight=policy.gpu_classes[launch.gpu_class].weight,
        class_factor=priority_class.class_factor,
        booking_id=launch.booking_id,
        hold_mode=priority_class.hold if launch.booking_id is None else HoldMode.FULL,
        time_limit_ms=_time_limit_ms(batch, workload),
        launched_at=batch.now,
        submitted_at=workload.waits_since,
        is_funded=launch.is_funded,
        is_borrowed=launch.is_borrowed,
        minimum_runtime_ms=None if launch.is_funded else 0,
        grace_seconds=workload.spec.grace_seconds,
        elastic=ElasticTerms.of(workload.spec),
    )


def _time_limit_ms(batch: Batch, workload: Workload) -> int:
    """Its own; less where its attempts together may not run for as long any more."""
    longest = workload.spec.runtime_limit(batch.world.require_policy().limits.runtime_max_ms)
    if longest is None or not batch.attempts_made(workload.id):
        return min(workload.spec.time_limit_ms, longest or workload.spec.time_limit_ms)
    return min(workload.spec.time_limit_ms, max(0, longest - ran_ms(batch, workload)))


def _take_over_reservation(batch: Batch, workload: Workload, attempt: Attempt) -> bool:
    """The holds made when the victims were chosen become the attempt's."""
    holds = batch.books.holds.reserved_for(workload.id)
    if not holds and attempt.is_funded:
        return False
    batch.assign_holds([item.id for item in holds], attempt.id)
    batch.reserve(workload.id, None)
    return True


def _open_holds(
    batch: Batch, launch: Launch | Growth, attempt_id: AttemptId | None, spent: dict[AllowanceId, int], new_id: NewId
) -> bool:
    """Make the holds, unless an allowance no longer has its share: then none."""
    if not _can_pay(batch, [launch], spent):
        return False
    if isinstance(launch, Launch) and not launch.is_funded:
        return True
    for share in launch.funding:
        spent[share.allowance_id] = spent.get(share.allowance_id, 0) + share.amount
    ids = [HoldId(new_id("h")) for _ in launch.funding]
    holds: Sequence[Hold] = holds_for(launch.funding, ids, launch.workload_id, attempt_id, batch.now)
    batch.open_holds(holds)
    batch.post(*hold(holds))
    return True


def _can_pay(batch: Batch, launches: Sequence[Launch | Growth], spent: dict[AllowanceId, int]) -> bool:
    """Whether the allowances still have what these are to hold, all of them together."""
    needed: dict[AllowanceId, int] = {}
    for launch in launches:
        for share in launch.funding if isinstance(launch, Growth) or launch.is_funded else ():
            needed[share.allowance_id] = needed.get(share.allowance_id, 0) + share.amount
    for allowance_id, amount in needed.items():
        balance = batch.world.balances.get(allowance_id)
        if balance is None or balance.spendable - spent.get(allowance_id, 0) < amount:
            return False
    return True


def _record_preemption(batch: Batch, preemption: Preemption, spent: dict[AllowanceId, int], new_id: NewId) -> bool:
    launch = preemption.launch
    workload = batch.workload(launch.workload_id)
    victims = [(victim, batch.attempt(victim.attempt_id)) for victim in preemption.victims]
    alive = [(victim, each) for victim, each in victims if each is not None and _can_fall(victim, each)]
    if workload is None or workload.state is not WorkloadState.QUEUED or len(alive) < len(victims):
        return False
    if not _has_terms(batch, workload, launch) or not _can_pay(batch, [launch, *preemption.moves], spent):
        return False
    _set_aside(batch, launch, preemption.until, spent, new_id)
    for move in preemption.moves:
        _set_aside(batch, move, preemption.until, spent, new_id, is_move=True)
    policy = batch.world.require_policy()
    for victim, attempt in alive:
        _preempt(batch, victim, attempt, workload, policy)
    return True


def _set_aside(
    batch: Batch,
    launch: Launch,
    until: Instant,
    spent: dict[AllowanceId, int],
    new_id: NewId,
    *,
    is_move: bool = False,
) -> None:
    """Its hours and its place, until whoever is in its way, or it itself, has ended where it was."""
    _open_holds(batch, launch, None, spent, new_id)
    made = Reservation(launch.workload_id, launch.gpu_class, launch.placement, until, launch.is_borrowed, is_move)
    batch.reserve(launch.workload_id, made)


def _can_fall(victim: Victim, attempt: Attempt) -> bool:
    if victim.pods_left is not None and not attempt.surplus >= attempt.placement.pods - victim.pods_left > 0:
        return False
    return _can_stop(attempt)


def _record_growth(batch: Batch, growth: Growth, spent: dict[AllowanceId, int], new_id: NewId) -> bool:
    attempt = batch.attempt(growth.attempt_id)
    if attempt is None or not attempt.is_growable:
        return False
    if growth.placement.first(attempt.placement.pods) != attempt.placement:
        return False
    if not _open_holds(batch, growth, attempt.id, spent, new_id):
        return False
    take_more(batch, attempt, replace(attempt, placement=growth.placement, is_borrowed=growth.is_borrowed))
    return True


def _can_stop(attempt: Attempt) -> bool:
    return attempt.state in {AttemptState.LAUNCHING, AttemptState.RUNNING}


def _preempt(batch: Batch, victim: Victim, attempt: Attempt, preemptor: Workload, policy: Policy) -> None:
    evidence: dict[str, int | str] = {
        "preemptor": preemptor.spec.name,
        "preemptor_id": preemptor.id,
        "preemptor_class": preemptor.spec.priority_class,
        "rule": victim.rule,
        "comparison": victim.comparison,
        "gpu_class": attempt.gpu_class,
    }
    if victim.pods_left is not None:
        given = attempt.placement.pods - victim.pods_left
        gpus = given * attempt.pod.gpus
        give_back(batch, attempt, victim.pods_left, {**evidence, "given": given, "gpus": gpus})
        batch.count_stop(Brake.PREEMPT, gpus)
        return
    terms = policy.priority_classes.get(attempt.priority_class)  # gone with a later policy: nothing is refunded then
    cap_minutes = terms.refund_cap_ms // MS_PER_MINUTE if terms is not None else 0
    stop_attempt(
        batch, attempt, Reason.PREEMPTED, {**evidence, "gpus": attempt.gpus, "refund_cap_minutes": cap_minutes}
    )
    batch.count_stop(Brake.PREEMPT, attempt.gpus)


def stop_attempt(batch: Batch, attempt: Attempt, reason: Reason, evidence: dict[str, int | str]) -> None:
    """Ask for the end of an attempt: its Job is suspended, and it stays on the books until its pods have ended.

    One that was never launched has ended already, and no report will say so: it is awaited from the start.
    """
    workload = batch.workload(attempt.workload_id)
    assert workload is not None, "a live attempt has a workload"
    batch.world.awaited.setdefault(workload.id, batch.now)
    batch.put_attempt(replace(attempt, state=AttemptState.STOPPING, stop_reason=reason, stopping_since=batch.now))
    batch.change_workload(workload, state=WorkloadState.STOPPING, state_reason=reason)
    batch.say(workload.id, reason, evidence)
