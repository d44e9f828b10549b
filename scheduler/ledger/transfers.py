"""Transfer: what one allowance has goes on into another. Nothing comes from outside, and nothing goes there.

To another holder that is a transfer. What its own holder has left at its end rolls over into the next period's allowance,
or into one that ends later.
"""

from scheduler.domain.allowances import Allowance
from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.units import Instant
from scheduler.ledger.grants import numbered, require_amount
from scheduler.ledger.journal import Entry, Transaction, TransactionKind, available_on, transfer_entries


def transfer(
    source: Allowance, target: Allowance, amount: int, at: Instant, *, transfer_id: str, actor: str, memo: str
) -> Transaction:
    """From one holder's allowance to another's of the same unit; to a team or a project it is a donation.

    Raises InvalidInput: `invalid-amount`, `transfer-to-self`; Conflict: `unit-mismatch`.
    """
    require_amount(amount)
    if source.id == target.id or source.holder == target.holder:
        raise InvalidInput(
            "it would go from its holder to the same", code=RefusalCode.TRANSFER_TO_SELF, expected="another holder"
        )
    return Transaction(
        id=f"transfer:{transfer_id}",
        kind=TransactionKind.TRANSFER,
        at=at,
        entries=_between(source, target, amount),
        actor=actor,
        memo=memo,
    )


def roll_over(source: Allowance, target: Allowance, amount: int, at: Instant, *, before: int = 0) -> Transaction:
    """What is left of a period's allowance goes on into the next period's. Its holder had it before and has it after, so
    that the line on the statement comes to nothing, and the memo says how much it was. `before` is what of it went on
    already: it tells one rollover of an allowance from the next.

    Raises Conflict (`unit-mismatch`).
    """
    return Transaction(
        id=f"rollover:{source.id}{numbered(before)}",
        kind=TransactionKind.ROLLOVER,
        at=at,
        entries=_between(source, target, amount),
        memo=f"{quantity_text(amount, source.unit)} of {source.id} into {target.period}",
    )


def extend_expiry(
    source: Allowance, target: Allowance, amount: int, at: Instant, *, taken_at: Instant, memo: str, number: int = 0
) -> Transaction:
    """What is left of an allowance at its end goes on into one that ends later. `taken_at` and `number` tell one such move
    from the next, as of `expire`."""
    return Transaction(
        id=f"extension:{source.id}:{taken_at}{numbered(number)}",
        kind=TransactionKind.TRANSFER,
        at=at,
        entries=_between(source, target, amount),
        memo=memo,
    )


def _between(source: Allowance, target: Allowance, amount: int) -> tuple[Entry, ...]:
    """From one allowance into another. Raises Conflict (`unit-mismatch`)."""
    if source.unit != target.unit:
        raise Conflict(
            f"{source.id} is in {unit_label(source.unit)}, {target.id} in {unit_label(target.unit)}",
            code=RefusalCode.UNIT_MISMATCH,
            expected="two allowances of one unit",
        )
    return transfer_entries(available_on(source.id), available_on(target.id), amount, unit=source.unit)
