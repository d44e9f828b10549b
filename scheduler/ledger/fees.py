"""Fees: hours that are charged though nothing ran, out of what is held. No physical time stands beside them."""

from collections.abc import Mapping, Sequence

from scheduler.domain.units import HoldId, Instant
from scheduler.domain.workloads import Attempt
from scheduler.ledger.holds import Hold
from scheduler.ledger.journal import (
    Entry,
    Transaction,
    TransactionKind,
    charged_to,
    held_on,
    suffix_of,
    transfer_entries,
)


def charge_fee(
    attempt: Attempt, holds: Sequence[Hold], amount: int, at: Instant
) -> tuple[Transaction, Mapping[HoldId, int]]:
    """Charge `amount`, at most what the holds have left, in their order. The holds are of one unit."""
    entries: list[Entry] = []
    taken: dict[HoldId, int] = {}
    unit = holds[0].unit
    for hold in holds:
        part = min(hold.remaining, amount)
        if part > 0:
            taken[hold.id] = part
            amount -= part
            entries += transfer_entries(held_on(hold.allowance_id), charged_to(hold.allowance_id), part, unit=unit)
    assert amount == 0, "a fee is a share of what is held"
    posted = Transaction(
        id=f"fee:{attempt.id}{suffix_of(unit)}",
        kind=TransactionKind.CHARGE,
        at=at,
        entries=tuple(entries),
        attempt_id=attempt.id,
        memo="cancelled late",
    )
    return posted, taken
