"""GPU faults: what failed because its GPU did is ended by that, and gets back the work that it lost.

Windows come when they come: before the end of an attempt is known, after it, or much later. So an attempt that fails has
failed of itself at first, whatever its GPUs showed; it is judged here once both are known, and the books are the same in
either order. What a rule of the policy makes of the failure (another try) was decided at its end, and stays (ADR 32).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scheduler.domain.periods import iso
from scheduler.domain.quantities import quantity_text
from scheduler.domain.reasons import Reason
from scheduler.domain.units import AttemptId, Instant, Unit
from scheduler.domain.workloads import Attempt, WorkloadState
from scheduler.ledger.journal import Transaction
from scheduler.lifecycle.running.settle import refund_of_lost_work
from scheduler.lifecycle.writing.batch import Batch
from scheduler.metering.gpu_faults import HARDWARE_XIDS, GpuFault, died_of, first_failure

FAULTS_AT_ONCE = 200
"""In one transaction: a fault more waits for the next."""


@dataclass(frozen=True, slots=True)
class FaultsJudged:
    """`ended` are the attempts that are known now to have died of their GPU."""

    faults: int = 0
    ended: tuple[AttemptId, ...] = ()


def judge_gpu_faults(batch: Batch) -> FaultsJudged:
    """Look once at each fault whose attempt has ended. The Xid that it died of is told on its statement, with GPU and time.
    Doing it again changes nothing: what was judged is not due, and what died of its GPU has not failed any more."""
    due = batch.books.gpu_faults.due(FAULTS_AT_ONCE)
    if not due:
        return FaultsJudged()
    by_attempt: dict[AttemptId, list[GpuFault]] = defaultdict(list)
    for fault in due:
        if fault.attempt_id is not None:
            by_attempt[fault.attempt_id].append(fault)
    attempts = batch.books.attempts.many(sorted(by_attempt))
    failed = [attempt for attempt in attempts.values() if attempt.stop_reason is Reason.FAILED]
    runs = batch.books.attempts.pods_of([attempt.id for attempt in failed])
    batch.fetch_holds([attempt.id for attempt in failed])
    ended = []
    for attempt in sorted(failed, key=lambda each: each.id):
        assert attempt.ended_at is not None, "what is due has ended"
        cause = died_of(by_attempt[attempt.id], first_failure(runs[attempt.id], attempt.ended_at))
        if cause is not None:
            _end_by_fault(batch, attempt, attempt.ended_at, cause)
            ended.append(attempt.id)
    batch.books.gpu_faults.judge(due)
    return FaultsJudged(len(due), tuple(ended))


def _end_by_fault(batch: Batch, attempt: Attempt, ended_at: Instant, fault: GpuFault) -> None:
    """The refund is dated as its last charge is: where that period is closed it is a correction in the open one."""
    why = f"{Reason.GPU_FAULT.value}, Xid {fault.xid} on {fault.gpu_uuid} of {fault.node} by {iso(fault.end)}"
    dated = Instant(max(attempt.launched_at, ended_at - 1))
    holds = batch.holds_of(attempt.id)
    refunds = refund_of_lost_work(batch, attempt, holds, ended_at, dated=dated, why=why)
    batch.post(*refunds)
    batch.put_attempt(replace(attempt, stop_reason=Reason.GPU_FAULT))
    _say(batch, attempt, fault, refunds)


def _say(batch: Batch, attempt: Attempt, fault: GpuFault, refunds: Sequence[Transaction]) -> None:
    """As the verdict where the work is over with it. What is tried again has a verdict of its own by now: of that, the
    attempt and the statement tell."""
    workload = batch.workload(attempt.workload_id) or batch.books.workloads.get(attempt.workload_id)
    if workload is None or (workload.state, workload.state_reason) != (WorkloadState.FAILED, Reason.FAILED):
        return
    if attempt.number < batch.attempts_made(workload.id):
        return
    batch.change_workload(workload, state_reason=Reason.GPU_FAULT)
    evidence: dict[str, int | str] = {
        "gpu": fault.gpu_uuid,
        "node": fault.node,
        "xid": fault.xid,
        "fault": HARDWARE_XIDS[fault.xid],
        "at": iso(fault.end),
        "refunded": _refunded(attempt, refunds),
    }
    batch.say(workload.id, Reason.GPU_FAULT, evidence)


def _refunded(attempt: Attempt, refunds: Sequence[Transaction]) -> str:
    given: dict[Unit, int] = defaultdict(int)
    for transaction in refunds:
        for entry in transaction.entries:
            given[entry.unit] += max(0, entry.amount)
    if given:
        return " and ".join(quantity_text(amount, unit) for unit, amount in sorted(given.items())) + " came back"
    if attempt.checkpointed_at is None:
        return "nothing came back, since it had written no checkpoint"
    return "nothing came back"
