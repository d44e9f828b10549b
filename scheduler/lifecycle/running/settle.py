"""Settle: when an attempt has ended, close its books."""

from collections.abc import Sequence
from dataclasses import replace

from scheduler.domain.observations import ObservedJob
from scheduler.domain.policy import Policy
from scheduler.domain.reasons import Reason
from scheduler.domain.units import Instant
from scheduler.domain.workloads import Attempt, AttemptState
from scheduler.ledger.holding import release
from scheduler.ledger.holds import Hold
from scheduler.ledger.journal import Transaction
from scheduler.ledger.refunds import lost_gpu_ms, refund
from scheduler.lifecycle.running.outcome import settle_workload, why_it_ended
from scheduler.lifecycle.running.renew import charge_until
from scheduler.lifecycle.writing.batch import Batch

_REFUNDED = {Reason.PREEMPTED, Reason.NODE_LOST}


def end_attempt(batch: Batch, attempt: Attempt, job: ObservedJob | None) -> None:
    """The pods have all ended: the last charge, the release of what is still held, a refund where one is due. All of it
    counts as of the end, however late that is heard of."""
    runs = batch.pod_runs(attempt.id)
    ends = [run.ended_at for run in runs if run.ended_at is not None]
    ended_at = max(ends, default=batch.now)
    attempt = charge_until(batch, attempt, ended_at)
    holds = batch.holds_of(attempt.id)
    dated = min(ended_at, batch.now)  # a node's clock may be ahead of ours
    batch.post(*release(holds, dated))
    batch.resolve_holds(hold.id for hold in holds if hold.resolved_at is None)
    workload = batch.workload(attempt.workload_id)
    assert workload is not None, "a live attempt has a workload"
    ended = why_it_ended(attempt, workload, job, runs)
    _refund(batch, attempt, holds, ended.reason, ended_at, dated)
    batch.put_attempt(replace(attempt, state=AttemptState.ENDED, ended_at=ended_at, stop_reason=ended.reason))
    settle_workload(batch, workload, ended, job)


def _refund(
    batch: Batch, attempt: Attempt, holds: Sequence[Hold], reason: Reason, ended_at: Instant, dated: Instant
) -> None:
    if reason not in _REFUNDED:
        return
    reserved = batch.world.reservations.get(attempt.workload_id)
    why = f"{reason.value}, moved by consolidation" if reserved is not None and reserved.is_move else reason.value
    batch.post(*refund_of_lost_work(batch, attempt, holds, ended_at, dated=dated, why=why))


def refund_of_lost_work(
    batch: Batch, attempt: Attempt, holds: Sequence[Hold], ended_at: Instant, *, dated: Instant, why: str
) -> list[Transaction]:
    """What gives back the work that an attempt lost which ended then and is charged, up to the cap of its class; none where
    there is nothing to give back. `holds` as they are charged; `why` stands on the statement."""
    if not attempt.is_funded:
        return []
    lost = lost_gpu_ms(attempt, _refund_cap_ms(batch.world.require_policy(), attempt), ended_at)
    return refund(attempt, holds, lost, dated, memo=f"work lost: {why}") if lost else []


def _refund_cap_ms(policy: Policy, attempt: Attempt) -> int:
    priority_class = policy.priority_classes.get(attempt.priority_class)
    return priority_class.refund_cap_ms if priority_class is not None else 0
