"""Charge: what an attempt has used since it was charged last, taken from its holds in their order.

The cumulative total of an attempt is floored once (`standard_total`); a charge is the difference to what was charged
before, so slices never drift. What no hold covers is an overrun, the owner's receivable; what runs unfunded is
posted as such. Σ over the accounts of kind `charged` is everything that was ever charged: those of an allowance
are named by its id, the others `overrun/<owner>` and `unfunded/<owner>`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scheduler.domain.units import HoldId, Instant, standard_total
from scheduler.domain.workloads import Attempt
from scheduler.ledger.holds import Hold, HoldState
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction, TransactionKind, transfer_entries


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
    uncovered = missing if missing > 0 or not parts else 0
    moves = [(hold, amount) for hold, amount in parts if amount > 0]
    entries: list[Entry] = []
    posted_due = posted_gpu_ms = 0
    for hold, amount in moves:
        posted_due += amount
        physical = _share(used_gpu_ms, posted_due, due) - posted_gpu_ms
        posted_gpu_ms += physical
        entries += transfer_entries(
            Account(AccountKind.HELD, hold.allowance_id),
            Account(AccountKind.CHARGED, hold.allowance_id),
            amount,
            gpu_ms=physical,
        )
    if missing > 0 or posted_gpu_ms < used_gpu_ms:
        kind = AccountKind.OVERRUN if attempt.is_funded else AccountKind.UNFUNDED
        entries += transfer_entries(
            Account(kind, attempt.owner),
            Account(AccountKind.CHARGED, f"{kind.value}/{attempt.owner}"),
            missing,
            gpu_ms=used_gpu_ms - posted_gpu_ms,
        )
    transaction = Transaction(
        id=f"charge:{attempt.id}:{gpu_ms}",
        kind=TransactionKind.CHARGE,
        at=at,
        entries=tuple(entries),
        attempt_id=attempt.id,
    )
    return Charge(
        transaction,
        gpu_ms,
        total,
        from_holds={hold.id: amount for hold, amount in moves},
        overrun=uncovered if attempt.is_funded else 0,
        unfunded=0 if attempt.is_funded else uncovered,
    )


def _take(holds: Sequence[Hold], due: int) -> tuple[list[tuple[Hold, int]], int]:
    """What of `due` each open hold pays, and what is left over."""
    parts: list[tuple[Hold, int]] = []
    for hold in holds:
        if hold.state is HoldState.OPEN:
            amount = min(hold.remaining, due)
            parts.append((hold, amount))
            due -= amount
    return parts, due


def _share(used_gpu_ms: int, posted: int, due: int) -> int:
    """The physical part that goes with the first `posted` of `due`: floored cumulatively: the parts add up."""
    return used_gpu_ms if posted == due else used_gpu_ms * posted // due
