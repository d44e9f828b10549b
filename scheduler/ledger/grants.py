"""Grant and expiry: how hours come to an allowance, and how what is left of them goes."""

from scheduler.domain.allowances import Allowance, Holder
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.quantities import unit_label
from scheduler.domain.units import AMOUNT_MAX, STANDARD_GPU, AllowanceId, CommandId, Instant, Unit
from scheduler.ledger.journal import (
    Account,
    AccountKind,
    Transaction,
    TransactionKind,
    available_on,
    transfer_entries,
)


def require_expiry(allowance: Allowance) -> None:
    """Raises InvalidInput (`expiry-before-grant`)."""
    if allowance.expires_at is not None and allowance.expires_at <= allowance.starts_at:
        raise InvalidInput(
            "the allowance would expire before it starts",
            where="expires_at",
            code=RefusalCode.EXPIRY_BEFORE_GRANT,
            expected="a later instant",
        )


def grant(allowance: Allowance, *, actor: str, memo: str = "", command_id: CommandId | None = None) -> Transaction:
    """The transaction that brings an allowance its amount. Raises InvalidInput: `invalid-amount`, `expiry-before-grant`."""
    require_amount(allowance.amount)
    require_expiry(allowance)
    return Transaction(
        id=f"grant:{allowance.id}",
        kind=TransactionKind.GRANT,
        at=allowance.starts_at,
        entries=transfer_entries(
            Account(AccountKind.ISSUED, allowance.source.value),
            available_on(allowance.id),
            allowance.amount,
            unit=allowance.unit,
        ),
        command_id=command_id,
        actor=actor,
        memo=memo,
    )


def expire(allowance: Allowance, available: int, at: Instant, *, taken_at: Instant, number: int = 0) -> Transaction:
    """Take what is left of an expired allowance, and say which. Held hours stay; what is released later expires then.

    `at` dates it; `taken_at`, when it was found, and `number`, of several that were found together, tell one expiry of an
    allowance from the next.
    """
    return Transaction(
        id=f"expiry:{allowance.id}:{taken_at}{numbered(number)}",
        kind=TransactionKind.EXPIRY,
        at=at,
        entries=transfer_entries(
            available_on(allowance.id),
            Account(AccountKind.EXPIRED, allowance.id),
            available,
            unit=allowance.unit,
        ),
        memo=allowance.id,
    )


def numbered(number: int) -> str:
    """What tells the ids of several transactions of one cause apart; the first has none."""
    return f":{number}" if number else ""


def require_amount(amount: int) -> None:
    """Raises InvalidInput (`invalid-amount`)."""
    if not 0 < amount < AMOUNT_MAX:
        raise InvalidInput(
            f"an amount of {amount} cannot be posted",
            where="amount",
            code=RefusalCode.INVALID_AMOUNT,
            expected=f"a whole number from 1 to {AMOUNT_MAX - 1}",
        )


def tier_allowance_id(engineer: str, period: str, unit: Unit = STANDARD_GPU) -> AllowanceId:
    """One grant a person, period and unit: its id is what makes granting idempotent."""
    return AllowanceId(f"tier/{engineer}/{period}{_in_unit(unit)}")


def project_allowance_id(project: str, period: str, unit: Unit = STANDARD_GPU) -> AllowanceId:
    return AllowanceId(f"project/{project}/{period}{_in_unit(unit)}")


def rollover_allowance_id(holder: Holder, period: str, unit: Unit = STANDARD_GPU) -> AllowanceId:
    return AllowanceId(f"rollover/{holder.id}/{period}{_in_unit(unit)}")


def _in_unit(unit: Unit) -> str:
    return "" if unit == STANDARD_GPU else f"/{unit_label(unit)}"
