"""Payments: what a person paid for their own compute, by payroll deduction say. Money alone: no hours move by it."""

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.money import Currency
from scheduler.domain.quantities import money_unit
from scheduler.domain.units import AMOUNT_MAX, EngineerId, Instant
from scheduler.ledger.journal import Account, AccountKind, Transaction, TransactionKind, transfer_entries

RECEIVED = "platform"
"""The other side: what was received of everybody."""


def paid_account(engineer: EngineerId) -> Account:
    return Account(AccountKind.PAID, engineer)


def payment(
    payment_id: str, engineer: EngineerId, micro: int, currency: Currency, at: Instant, *, actor: str, memo: str
) -> Transaction:
    """What was paid at `at`, in micro-units; below zero, what was paid back. Raises InvalidInput (`invalid-amount`)."""
    if micro == 0 or abs(micro) >= AMOUNT_MAX:
        raise InvalidInput(
            f"{micro} cannot be paid",
            where="quantity",
            code=RefusalCode.INVALID_AMOUNT,
            expected=f"a whole number from 1 to {AMOUNT_MAX - 1}, or as much below zero",
        )
    return Transaction(
        id=f"payment:{payment_id}",
        kind=TransactionKind.PAYMENT,
        at=at,
        entries=transfer_entries(
            Account(AccountKind.PAID, RECEIVED), paid_account(engineer), micro, unit=money_unit(currency)
        ),
        actor=actor,
        memo=memo,
    )
