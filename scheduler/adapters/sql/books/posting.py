"""Applying transactions to the balances that were read: the check of floors, in memory, before anything is written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scheduler.domain.errors import Exhausted, InvalidInput, RefusalCode
from scheduler.domain.quantities import exact_text
from scheduler.domain.units import AMOUNT_MAX, MS_PER_HOUR, STANDARD_GPU, Unit
from scheduler.ledger.journal import Account, Entry, Transaction

AccountKey = tuple[Account, Unit]


@dataclass(slots=True)
class AccountState:
    """One locked account while a batch is applied. `floor` None may go below zero."""

    id: int
    balance: int
    floor: int | None
    is_changed: bool = False


def touched_accounts(transactions: Iterable[Transaction]) -> list[AccountKey]:
    """Each once, in the order in which they are first touched."""
    return list(
        dict.fromkeys((entry.account, entry.unit) for transaction in transactions for entry in transaction.entries)
    )


def apply(transactions: Iterable[Transaction], states: Mapping[AccountKey, AccountState]) -> None:
    """Move the balances, each transaction after the one before it.

    Raises Exhausted (`allowance-short`) where one takes an account below its floor: what a later one of the same
    batch would bring does not count yet. What only adds to an account is never refused.
    """
    for transaction in transactions:
        for entry in transaction.entries:
            state = states[entry.account, entry.unit]
            state.balance += entry.amount
            state.is_changed = True
        for entry in transaction.entries:
            _require_allowed(transaction, entry, states[entry.account, entry.unit])


def _require_allowed(transaction: Transaction, entry: Entry, state: AccountState) -> None:
    if entry.amount < 0 and state.floor is not None and state.balance < state.floor:
        raise Exhausted(
            f"{entry.account} would be {_quantity(state.floor - state.balance, entry.unit)} short "
            f"after {transaction.id}",
            code=RefusalCode.ALLOWANCE_SHORT,
            expected="no posting beyond what is available and the overdraft allowed",
        )
    if abs(state.balance) >= AMOUNT_MAX:
        raise InvalidInput(
            f"the balance of {entry.account} would be {state.balance} after {transaction.id}",
            code=RefusalCode.INVALID_AMOUNT,
            expected=f"balances below {AMOUNT_MAX}",
        )


def _quantity(amount: int, unit: Unit) -> str:
    """GPU time in hours, rounded up to a hundredth, so that a shortage is never shown as nothing."""
    if unit != STANDARD_GPU:
        return exact_text(amount, unit)
    hundredths = -(-amount * 100 // MS_PER_HOUR)
    return f"{hundredths // 100}.{hundredths % 100:02d} GPU-hours"
