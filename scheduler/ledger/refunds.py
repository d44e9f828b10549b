"""Refund: a preemption or a fault of the platform gives back the work lost since the last checkpoint.

Up to a cap per priority class; without checkpoints, nothing. Paid from accounts of their own, to those who paid,
what was charged last first: an overrun, then the holds from the last in the funding order on; each in its own unit.
"""

from collections.abc import Iterator, Sequence

from scheduler.domain.sizes import gpu_ms_within
from scheduler.domain.units import STANDARD_GPU, Instant, Unit, standard_total
from scheduler.domain.workloads import Attempt
from scheduler.ledger.drawing import own_gpu_ms
from scheduler.ledger.holds import Hold
from scheduler.ledger.journal import (
    Account,
    AccountKind,
    Entry,
    Transaction,
    TransactionKind,
    available_on,
    given_back_to,
    suffix_of,
    transfer_entries,
)


def lost_gpu_ms(attempt: Attempt, cap_ms: int, ended_at: Instant) -> int:
    """Physical GPU-milliseconds of work since the last checkpoint, at most `cap_ms` per GPU."""
    if attempt.checkpointed_at is None or attempt.started_at is None:
        return 0
    since = max(attempt.checkpointed_at, attempt.started_at, ended_at - cap_ms)
    return gpu_ms_within(attempt, Instant(since), ended_at)


def refund(attempt: Attempt, holds: Sequence[Hold], gpu_ms: int, at: Instant, memo: str) -> list[Transaction]:
    """Give back what the last `gpu_ms` of the attempt cost: all of it at most, and nothing that ran unfunded. One
    transaction a unit; none where nothing is due.

    `holds` as charged, in funding order.
    """
    lost = min(gpu_ms, attempt.charged_gpu_ms)
    entries: dict[Unit, list[Entry]] = {}
    if all(hold.draw is None for hold in holds):
        entries[STANDARD_GPU] = _in_standard(attempt, holds, lost)
    else:
        for unit, lines in _in_units(attempt, holds, lost):
            entries.setdefault(unit, []).extend(lines)
    return [
        Transaction(
            id=f"refund:{attempt.id}{suffix_of(unit)}",
            kind=TransactionKind.REFUND,
            at=at,
            entries=tuple(lines),
            attempt_id=attempt.id,
            memo=memo,
        )
        for unit, lines in entries.items()
        if lines
    ]


def _in_standard(attempt: Attempt, holds: Sequence[Hold], lost: int) -> list[Entry]:
    kept = standard_total(attempt.charged_gpu_ms - lost, attempt.weight, attempt.class_factor)
    due = attempt.charged - kept
    entries: list[Entry] = []
    given = given_gpu_ms = 0
    for account, paid in _payers(attempt, holds):
        amount = min(paid, due - given)
        if amount > 0:
            given += amount
            until = lost * given // due
            entries += transfer_entries(given_back_to(account), account, amount, gpu_ms=until - given_gpu_ms)
            given_gpu_ms = until
    return entries


def _in_units(attempt: Attempt, holds: Sequence[Hold], lost: int) -> Iterator[tuple[Unit, Sequence[Entry]]]:
    """Each payer gets back the share of what it paid that its lost time is of all its time, rounded up."""
    for account, unit, paid, paid_gpu_ms in _times(attempt, holds):
        time = min(paid_gpu_ms, lost)
        if time > 0:
            amount = paid - paid * (paid_gpu_ms - time) // paid_gpu_ms
            lost -= time
            if amount > 0:
                yield unit, transfer_entries(given_back_to(account), account, amount, gpu_ms=time, unit=unit)


def _times(attempt: Attempt, holds: Sequence[Hold]) -> Iterator[tuple[Account, Unit, int, int]]:
    """Who paid how much in which unit, and the physical time beside it, the last first. The own time of standard holds
    and of what no hold covered is divided as the amounts are."""
    own = own_gpu_ms(attempt, holds)
    charged = standard_total(own, attempt.weight, attempt.class_factor)
    beyond = charged - sum(hold.charged for hold in holds if hold.draw is None)
    last_first = [(available_on(hold.allowance_id), hold.charged, hold.draw) for hold in reversed(holds)]
    if attempt.is_funded and beyond > 0:
        last_first.insert(0, (Account(AccountKind.OVERRUN, attempt.owner), beyond, None))
    given = placed = 0
    for account, paid, draw in last_first:
        if draw is not None:
            yield account, draw.unit, paid, draw.gpu_ms
        elif charged > 0:
            given += paid
            until = own * given // charged
            yield account, STANDARD_GPU, paid, until - placed
            placed = until


def _payers(attempt: Attempt, holds: Sequence[Hold]) -> list[tuple[Account, int]]:
    """Who paid how much, the last first."""
    paid = [(available_on(hold.allowance_id), hold.charged) for hold in reversed(holds)]
    beyond = attempt.charged - sum(hold.charged for hold in holds)
    if attempt.is_funded and beyond > 0:
        return [(Account(AccountKind.OVERRUN, attempt.owner), beyond), *paid]
    return paid
