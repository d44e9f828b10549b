"""Hold and release: hours set aside on allowances before an attempt runs, and what comes back after it."""

from collections.abc import Iterable, Sequence

from scheduler.domain.funding import FundingShare
from scheduler.domain.units import AttemptId, HoldId, Instant, WorkloadId
from scheduler.ledger.holds import Hold, HoldState
from scheduler.ledger.journal import (
    Transaction,
    TransactionKind,
    available_on,
    held_on,
    transfer_entries,
)


def holds_for(
    shares: Sequence[FundingShare],
    ids: Sequence[HoldId],
    workload_id: WorkloadId,
    attempt_id: AttemptId | None,
    at: Instant,
) -> list[Hold]:
    """One hold a share, in funding order."""
    assert len(ids) == len(shares), "every share needs an id of its own"
    return [
        Hold(hold_id, workload_id, share.allowance_id, order, share.amount, at, attempt_id, draw=share.draw)
        for order, (share, hold_id) in enumerate(zip(shares, ids, strict=True))
    ]


def hold(holds: Iterable[Hold]) -> list[Transaction]:
    """The transactions that set the hours aside: one a hold, under the hold's id."""
    return [
        Transaction(
            id=f"hold:{item.id}",
            kind=TransactionKind.HOLD,
            at=item.opened_at,
            entries=transfer_entries(
                available_on(item.allowance_id),
                held_on(item.allowance_id),
                item.amount,
                unit=item.unit,
            ),
            attempt_id=item.attempt_id,
        )
        for item in holds
    ]


def release(holds: Iterable[Hold], at: Instant) -> list[Transaction]:
    """What was not charged of each open hold goes back, as of then; a hold that was used up needs no transaction. One that
    was opened later, while nobody had heard of the end yet, goes back as of when it was opened."""
    return [
        Transaction(
            id=f"release:{item.id}",
            kind=TransactionKind.RELEASE,
            at=max(at, item.opened_at),
            entries=transfer_entries(
                held_on(item.allowance_id),
                available_on(item.allowance_id),
                item.remaining,
                unit=item.unit,
            ),
            attempt_id=item.attempt_id,
        )
        for item in holds
        if item.state is HoldState.OPEN and item.remaining > 0
    ]
