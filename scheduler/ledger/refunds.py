"""Refund: a preemption or a fault of the platform gives back the work lost since the last checkpoint.

Up to a cap per priority class; without checkpoints, nothing. Paid from an account of its own, to those who paid,
what was charged last first: an overrun, then the holds from the last in the funding order on.
"""

from collections.abc import Sequence

from scheduler.domain.units import Instant, standard_total
from scheduler.domain.workloads import Attempt
from scheduler.ledger.holds import Hold
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction, TransactionKind, transfer_entries

PLATFORM = "platform"


def lost_gpu_ms(attempt: Attempt, cap_ms: int, ended_at: Instant) -> int:
    """Physical GPU-milliseconds of work since the last checkpoint, at most `cap_ms` per GPU."""
    if attempt.checkpointed_at is None or attempt.started_at is None:
        return 0
    since = max(attempt.checkpointed_at, attempt.started_at)
    return min(max(0, ended_at - since), cap_ms) * attempt.gpus


def refund(attempt: Attempt, holds: Sequence[Hold], gpu_ms: int, at: Instant, memo: str) -> Transaction | None:
    """Give back what the last `gpu_ms` of the attempt cost: all of it at most, and nothing that ran unfunded.

    `holds` as charged, in funding order.
    """
    lost = min(gpu_ms, attempt.charged_gpu_ms)
    kept = standard_total(attempt.charged_gpu_ms - lost, attempt.weight, attempt.class_factor)
    due = attempt.charged - kept
    entries: list[Entry] = []
    given = given_gpu_ms = 0
    for account, paid in _payers(attempt, holds):
        amount = min(paid, due - given)
        if amount > 0:
            given += amount
            until = lost * given // due
            source = Account(AccountKind.REFUNDS, PLATFORM)
            entries += transfer_entries(source, account, amount, gpu_ms=until - given_gpu_ms)
            given_gpu_ms = until
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


def _payers(attempt: Attempt, holds: Sequence[Hold]) -> list[tuple[Account, int]]:
    """Who paid how much, the last first."""
    paid = [(Account(AccountKind.ALLOWANCE, hold.allowance_id), hold.charged) for hold in reversed(holds)]
    beyond = attempt.charged - sum(hold.charged for hold in holds)
    if attempt.is_funded and beyond > 0:
        return [(Account(AccountKind.OVERRUN, attempt.owner), beyond), *paid]
    return paid
