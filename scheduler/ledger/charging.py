"""Charge: what an attempt has used since it was charged last, taken from its holds in their order.

The cumulative total of an attempt is floored once (`standard_total`); a charge is the difference to what was charged
before, so slices never drift. What no hold covers is an overrun, the owner's receivable, or, where the attempt runs
unfunded, posted as such; the owners of the accounts are told in `journal`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.domain.units import HoldId, Instant, standard_total
from scheduler.domain.workloads import Attempt
from scheduler.ledger.holds import Hold, HoldState
from scheduler.ledger.journal import (
    Account,
    AccountKind,
    Entry,
    Transaction,
    TransactionKind,
    charged_beyond,
    charged_to,
    transfer_entries,
)


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge. `transaction` is None where nothing was used since the last.

    `from_holds` is how much of each hold it used up; `gpu_ms` and `total` are the attempt's cumulative totals after
    it, physical and standard; `overrun` and `unfunded` the part of this charge that no hold covered.
    """

    transaction: Transaction | None
    gpu_ms: int
    total: int
    from_holds: Mapping[HoldId, int] = field(default_factory=dict)
    overrun: int = 0
    unfunded: int = 0


def charge(attempt: Attempt, holds: Sequence[Hold], gpu_ms: int, at: Instant) -> Charge:
    """Charge the attempt up to the cumulative physical total `gpu_ms`. `holds` in funding order.

    A total below what was charged before posts nothing: evidence that comes late never takes a charge back here;
    that is a correction, and a person's decision.
    """
    used_gpu_ms = gpu_ms - attempt.charged_gpu_ms
    if used_gpu_ms <= 0:
        return Charge(None, attempt.charged_gpu_ms, attempt.charged)
    total = standard_total(gpu_ms, attempt.weight, attempt.class_factor)
    due = total - attempt.charged
    parts, missing = _take(holds, due)
    transaction = Transaction(
        id=f"charge:{attempt.id}:{gpu_ms}",
        kind=TransactionKind.CHARGE,
        at=at,
        entries=_entries(attempt, parts, missing, used_gpu_ms),
        attempt_id=attempt.id,
    )
    return Charge(
        transaction,
        gpu_ms,
        total,
        from_holds={hold.id: amount for hold, amount in parts},
        overrun=missing if attempt.is_funded else 0,
        unfunded=0 if attempt.is_funded else missing,
    )


def _take(holds: Sequence[Hold], due: int) -> tuple[list[tuple[Hold, int]], int]:
    """What of `due` each open hold pays, and what is left over.

    Where nothing is due yet (less than one standard unit was used), the first hold with anything left pays the 0:
    the physical time that stands beside it is its own.
    """
    parts: list[tuple[Hold, int]] = []
    for hold in holds:
        if hold.state is HoldState.OPEN and hold.remaining > 0 and (due > 0 or not parts):
            amount = min(hold.remaining, due)
            parts.append((hold, amount))
            due -= amount
    return parts, due


def _entries(
    attempt: Attempt, parts: Sequence[tuple[Hold, int]], missing: int, used_gpu_ms: int
) -> tuple[Entry, ...]:
    """The physical time is split as the amounts are, floored cumulatively, so that the parts add up."""
    moves = [
        (Account(AccountKind.HELD, hold.allowance_id), charged_to(hold.allowance_id), amount)
        for hold, amount in parts
    ]
    if missing > 0 or not parts:
        kind = AccountKind.OVERRUN if attempt.is_funded else AccountKind.UNFUNDED
        moves.append((Account(kind, attempt.owner), charged_beyond(kind, attempt.owner), missing))
    due = sum(amount for _, _, amount in moves)
    entries: list[Entry] = []
    moved = posted_gpu_ms = 0
    for source, target, amount in moves:
        moved += amount
        until = used_gpu_ms if moved == due else used_gpu_ms * moved // due
        entries += transfer_entries(source, target, amount, gpu_ms=until - posted_gpu_ms)
        posted_gpu_ms = until
    return tuple(entries)
