"""Grant and expiry: how hours come to an allowance, and how what is left of them goes."""

from scheduler.domain.allowances import Allowance, Holder
from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.units import AMOUNT_MAX, STANDARD_GPU, AllowanceId, CommandId, Instant, Unit
from scheduler.ledger.journal import (
    Account,
    AccountKind,
    Entry,
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
        id=f"expiry:{allowance.id}:{taken_at}{_numbered(number)}",
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


def roll_over(source: Allowance, target: Allowance, amount: int, at: Instant, *, before: int = 0) -> Transaction:
    """What is left of a period's allowance goes on into the next one's. Its holder had it before and after, a statement's
    line comes to nothing: the memo has the amount. `before` is what of it went on already, which tells one rollover of an
    allowance from the next.

    Raises Conflict (`unit-mismatch`).
    """
    return Transaction(
        id=f"rollover:{source.id}{_numbered(before)}",
        kind=TransactionKind.ROLLOVER,
        at=at,
        entries=_between(source, target, amount),
        memo=f"{quantity_text(amount, source.unit)} of {source.id} into {target.period}",
    )


def move_on(
    source: Allowance, target: Allowance, amount: int, at: Instant, *, taken_at: Instant, memo: str, number: int = 0
) -> Transaction:
    """What is left of an allowance at its end goes on into one that ends later. `taken_at` and `number` tell one such move
    from the next, as of `expire`."""
    return Transaction(
        id=f"extension:{source.id}:{taken_at}{_numbered(number)}",
        kind=TransactionKind.TRANSFER,
        at=at,
        entries=_between(source, target, amount),
        memo=memo,
    )


def pass_on(
    source: Allowance, target: Allowance, amount: int, at: Instant, *, transfer_id: str, actor: str, memo: str
) -> Transaction:
    """A transfer or a donation: from one holder's allowance to another's of the same unit.

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


def _numbered(number: int) -> str:
    return f":{number}" if number else ""


def _between(source: Allowance, target: Allowance, amount: int) -> tuple[Entry, ...]:
    """From one allowance into another. Raises Conflict (`unit-mismatch`)."""
    require_same_unit(source, target)
    own, others = (available_on(each.id) for each in (source, target))
    return transfer_entries(own, others, amount, unit=source.unit)


def require_amount(amount: int) -> None:
    """Raises InvalidInput (`invalid-amount`)."""
    if not 0 < amount < AMOUNT_MAX:
        raise InvalidInput(
            f"an amount of {amount} cannot be posted",
            where="amount",
            code=RefusalCode.INVALID_AMOUNT,
            expected=f"a whole number from 1 to {AMOUNT_MAX - 1}",
        )


def require_same_unit(source: Allowance, target: Allowance) -> None:
    """Raises Conflict (`unit-mismatch`)."""
    if source.unit != target.unit:
        raise Conflict(
            f"{source.id} is in {unit_label(source.unit)}, {target.id} in {unit_label(target.unit)}",
            code=RefusalCode.UNIT_MISMATCH,
            expected="two allowances of one unit",
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
