"""Refund: a preemption or a fault of the platform gives back the work lost since the last checkpoint.

Up to a cap per priority class; without checkpoints, nothing. Paid from an account of its own, to the allowances
that paid, those charged last first.
"""

from collections.abc import Sequence

from scheduler.domain.units import Instant, standard_total
from scheduler.domain.workloads import Attempt
from scheduler.ledger.holds import Hold
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction, TransactionKind, transfer_entries


def lost_gpu_ms(attempt: Attempt, cap_ms: int, ended_at: Instant) -> int:
    """Physical GPU-milliseconds of work since the last checkpoint, at most `cap_ms` per GPU."""
    if attempt.checkpointed_at is None or attempt.started_at is None:
        return 0
    since = max(attempt.checkpointed_at, attempt.started_at)
    return min(max(0, ended_at - since), cap_ms) * attempt.gpus


def refund(attempt: Attempt, holds: Sequence[Hold], gpu_ms: int, at: Instant, memo: str) -> Transaction | None:
    """Give back what `gpu_ms` cost, never more than the holds were charged. `holds` as charged, in funding order."""
    due: int = standard_total(gpu_ms, attempt.weight, attempt.class_factor)
    entries: list[Entry] = []
    for hold in reversed(holds):
        amount = min(hold.charged, due)
        if amount > 0:
            entries += transfer_entries(
                Account(AccountKind.REFUNDS, "platform"), Account(AccountKind.ALLOWANCE, hold.allowance_id), amount
            )
            due -= amount
    if not entries:
        return None
    return Transaction(
        id=f"refund:{attempt.id}",
        kind=TransactionKind.REFUND,
        at=at,
        entries=tuple(entries),
        attempt_id=attempt.id,
        memo=memo,
    )
