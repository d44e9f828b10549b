"""Charge: what an attempt has used since it was charged last, taken from its holds in their order.

The cumulative total of an attempt is floored once (`standard_total`); a charge is the difference to what was charged
before, so slices never drift. What no hold covers is an overrun, the owner's receivable, or, where the attempt runs
unfunded, posted as such; the owners of the accounts are told in `journal`. What holds of other units pay is `drawing`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field

from scheduler.domain.terms import Draw
from scheduler.domain.units import STANDARD_GPU, HoldId, Instant, Unit, standard_total
from scheduler.domain.values import value
from scheduler.domain.workloads import Attempt
from scheduler.ledger.drawing import Meter
from scheduler.ledger.holds import Hold, HoldState
from scheduler.ledger.journal import (
    Account,
    AccountKind,
    Entry,
    Transaction,
    TransactionKind,
    charged_beyond,
    charged_to,
    held_on,
    suffix_of,
    transfer_entries,
)


@value(frozen=True, slots=True)
class Charge:
    """One charge: a transaction for each unit that was charged, none where nothing was used since the last.

    `from_holds` is how much of each hold it used up; `gpu_ms` and `total` are the attempt's cumulative totals after
    it, physical and standard; `overrun` and `unfunded` the part of this charge that no hold covered. `draws` are the
    holds of other units as they stand after it.
    """

    transactions: tuple[Transaction, ...]
    gpu_ms: int
    total: int
    from_holds: Mapping[HoldId, int] = field(default_factory=dict)
    overrun: int = 0
    unfunded: int = 0
    draws: Mapping[HoldId, Draw] = field(default_factory=dict)


def charge(attempt: Attempt, holds: Sequence[Hold], gpu_ms: int, at: Instant, price: int | None = None) -> Charge:
    """Charge the attempt up to the cumulative physical total `gpu_ms`. `holds` in funding order. `price` is the one in
    force, in micro-units a GPU-hour: of holds of money, those at their highest are charged where it is not known.

    A total below what was charged before posts nothing: evidence that comes late never takes a charge back here;
    that is a correction, and a person's decision.
    """
    used_gpu_ms = gpu_ms - attempt.charged_gpu_ms
    if used_gpu_ms <= 0:
        return Charge((), attempt.charged_gpu_ms, attempt.charged)
    total = standard_total(gpu_ms, attempt.weight, attempt.class_factor)
    due = total - attempt.charged
    if any(hold.draw is not None for hold in holds):
        return _charge_in_units(attempt, holds, gpu_ms, total, at, price)
    parts, missing = _take(holds, due)
    transaction = Transaction(
        id=f"charge:{attempt.id}:{gpu_ms}",
        kind=TransactionKind.CHARGE,
        at=at,
        entries=_entries(attempt, parts, missing, due, used_gpu_ms),
        attempt_id=attempt.id,
    )
    return Charge(
        (transaction,),
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
    attempt: Attempt, parts: Sequence[tuple[Hold, int]], missing: int, due: int, used_gpu_ms: int
) -> tuple[Entry, ...]:
    """`parts` and what is `missing` come to `due`. The physical time is split as the amounts are, floored cumulatively,
    so that the parts add up."""
    moves = [(held_on(hold.allowance_id), charged_to(hold.allowance_id), amount) for hold, amount in parts]
    if missing > 0 or not parts:
        kind = AccountKind.OVERRUN if attempt.is_funded else AccountKind.UNFUNDED
        moves.append((Account(kind, attempt.owner), charged_beyond(kind, attempt.owner), missing))
    entries: list[Entry] = []
    moved = posted_gpu_ms = 0
    for source, target, amount in moves:
        moved += amount
        until = used_gpu_ms if moved == due else used_gpu_ms * moved // due
        entries += transfer_entries(source, target, amount, gpu_ms=until - posted_gpu_ms)
        posted_gpu_ms = until
    return tuple(entries)


def _charge_in_units(
    attempt: Attempt, holds: Sequence[Hold], gpu_ms: int, total: int, at: Instant, price: int | None
) -> Charge:
    """Holds in their order, each for as much physical time as what is left of it pays for, each in its own unit."""
    meter = Meter(attempt, holds, price)
    from_holds: dict[HoldId, int] = {}
    entries: dict[Unit, list[Entry]] = {}
    left = gpu_ms - attempt.charged_gpu_ms
    for hold in holds:
        if hold.state is HoldState.OPEN and left > 0:
            time, amount = meter.take(hold, left)
            if time > 0:
                from_holds[hold.id] = amount
                source = held_on(hold.allowance_id)
                moved = transfer_entries(source, charged_to(hold.allowance_id), amount, gpu_ms=time, unit=hold.unit)
                entries.setdefault(hold.unit, []).extend(moved)
                left -= time
    missing = 0
    if left > 0:
        kind = AccountKind.OVERRUN if attempt.is_funded else AccountKind.UNFUNDED
        source, target = Account(kind, attempt.owner), charged_beyond(kind, attempt.owner)
        missing = meter.take_beyond(left)
        entries.setdefault(STANDARD_GPU, []).extend(transfer_entries(source, target, missing, gpu_ms=left))
    return Charge(
        tuple(
            Transaction(
                id=f"charge:{attempt.id}:{gpu_ms}{suffix_of(unit)}",
                kind=TransactionKind.CHARGE,
                at=at,
                entries=tuple(lines),
                attempt_id=attempt.id,
            )
            for unit, lines in entries.items()
        ),
        gpu_ms,
        total,
        from_holds=from_holds,
        overrun=missing if attempt.is_funded else 0,
        unfunded=0 if attempt.is_funded else missing,
        draws=meter.draws,
    )
