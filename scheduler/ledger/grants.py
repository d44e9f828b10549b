"""Grant and expiry: how hours come to an allowance, and how what is left of them goes."""

from scheduler.domain.allowances import Allowance
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import AMOUNT_MAX, AllowanceId, CommandId, Instant
from scheduler.ledger.journal import Account, AccountKind, Transaction, TransactionKind, transfer_entries


def grant(allowance: Allowance, *, actor: str, memo: str = "", command_id: CommandId | None = None) -> Transaction:
    """The transaction that brings an allowance its amount. Raises InvalidInput (`invalid-amount`)."""
    if not 0 < allowance.amount < AMOUNT_MAX:
        raise InvalidInput(
            f"a grant of {allowance.amount} cannot be made",
            where="amount",
            code=RefusalCode.INVALID_AMOUNT,
            expected=f"a whole number from 1 to {AMOUNT_MAX - 1}",
        )
    if allowance.expires_at is not None and allowance.expires_at <= allowance.starts_at:
        raise InvalidInput(
            "the allowance would expire before it starts", where="expires_at", expected="a later instant"
        )
    return Transaction(
        id=f"grant:{allowance.id}",
        kind=TransactionKind.GRANT,
        at=allowance.starts_at,
        entries=transfer_entries(
            Account(AccountKind.ISSUED, allowance.source.value),
            Account(AccountKind.ALLOWANCE, allowance.id),
            allowance.amount,
            unit=allowance.unit,
        ),
        command_id=command_id,
        actor=actor,
        memo=memo,
    )


def expire(allowance: Allowance, available: int, at: Instant, *, taken_at: Instant) -> Transaction:
    """Take what is left of an expired allowance. Held hours stay; what is released later expires then.

    `at` dates it; `taken_at`, when it was found, tells one expiry of an allowance from the next.
    """
    return Transaction(
        id=f"expiry:{allowance.id}:{taken_at}",
        kind=TransactionKind.EXPIRY,
        at=at,
        entries=transfer_entries(
            Account(AccountKind.ALLOWANCE, allowance.id),
            Account(AccountKind.EXPIRED, allowance.id),
            available,
            unit=allowance.unit,
        ),
    )


def tier_allowance_id(engineer: str, period: str) -> AllowanceId:
    """One grant a person and period: its id is what makes granting idempotent."""
    return AllowanceId(f"tier/{engineer}/{period}")


def project_allowance_id(project: str, period: str) -> AllowanceId:
    return AllowanceId(f"project/{project}/{period}")
