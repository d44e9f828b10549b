"""Reissue: an allowance never changes, so what is to be spent on other terms goes on into one that has them."""

from scheduler.domain.allowances import Allowance
from scheduler.domain.errors import Exhausted, RefusalCode
from scheduler.domain.quantities import exact_text
from scheduler.domain.units import Instant
from scheduler.ledger.journal import Transaction, TransactionKind, available_on, transfer_entries


def reissue(old: Allowance, new: Allowance, available: int, at: Instant, *, actor: str, memo: str) -> Transaction:
    """Move the new allowance's amount from the old one to it. Raises Exhausted where less is available."""
    assert old.unit == new.unit, "the terms differ, never the unit"
    if not 0 < new.amount <= available:
        raise Exhausted(
            f"{exact_text(new.amount, new.unit)} of {old.id} cannot go on",
            code=RefusalCode.ALLOWANCE_SHORT,
            expected=f"some of the {exact_text(available, old.unit)} that are left",
        )
    return Transaction(
        id=f"reissue:{new.id}",
        kind=TransactionKind.TRANSFER,
        at=at,
        entries=transfer_entries(available_on(old.id), available_on(new.id), new.amount, unit=old.unit),
        actor=actor,
        memo=memo,
    )
