"""Promise, vest and claw back: how a package's amount comes to its allowance, part by part, or does not.

    promised at the grant = vested + forfeited + still promised

Each is a transaction under an id made of the allowance's and the part's: done twice, it is done once.
"""

from collections.abc import Sequence

from scheduler.domain.allowances import Allowance
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import CommandId, Instant
from scheduler.domain.vesting import VestingPart, require_parts
from scheduler.ledger.grants import require_amount, require_expiry
from scheduler.ledger.journal import (
    Account,
    AccountKind,
    Transaction,
    TransactionKind,
    available_on,
    transfer_entries,
)


def promise(allowance: Allowance, *, actor: str, memo: str = "", command_id: CommandId | None = None) -> Transaction:
    """Put the whole amount of a package aside as promised.

    Raises InvalidInput: `invalid-amount`; `schedule-sum` where its parts are not the amount; `expiry-before-grant`
    where it would expire before its last part vests.
    """
    require_amount(allowance.amount)
    assert allowance.vesting is not None, "what does not vest is granted, not promised"
    parts = require_parts(allowance.amount, allowance.vesting.parts, allowance.starts_at, allowance.unit)
    require_expiry(allowance)
    if allowance.expires_at is not None and allowance.expires_at <= parts[-1].at:
        raise InvalidInput(
            "the allowance would expire before its last part vests",
            where="expires_at",
            code=RefusalCode.EXPIRY_BEFORE_GRANT,
            expected="an instant after the last part",
        )
    return Transaction(
        id=f"promise:{allowance.id}",
        kind=TransactionKind.PROMISE,
        at=allowance.granted_at,
        entries=transfer_entries(
            Account(AccountKind.ISSUED, allowance.source.value),
            Account(AccountKind.PROMISED, allowance.id),
            allowance.amount,
            unit=allowance.unit,
        ),
        command_id=command_id,
        actor=actor,
        memo=memo,
    )


def vest(allowance: Allowance, due: Sequence[tuple[int, VestingPart]]) -> list[Transaction]:
    """The parts that are due, each dated when it vests, however late this runs; never before its grant."""
    return [
        Transaction(
            id=f"vest:{allowance.id}:{number}",
            kind=TransactionKind.VEST,
            at=max(part.at, allowance.granted_at),
            entries=transfer_entries(
                Account(AccountKind.PROMISED, allowance.id),
                available_on(allowance.id),
                part.amount,
                unit=allowance.unit,
            ),
            memo=f"part {number} of {len(allowance.vesting.parts) if allowance.vesting else number}",
        )
        for number, part in due
    ]


def claw_back(allowance: Allowance, unvested: int, at: Instant, *, actor: str, memo: str) -> Transaction:
    """Take what has not vested. What vested is the holder's, and stays."""
    return Transaction(
        id=f"clawback:{allowance.id}",
        kind=TransactionKind.CLAWBACK,
        at=at,
        entries=transfer_entries(
            Account(AccountKind.PROMISED, allowance.id),
            Account(AccountKind.FORFEITED, allowance.id),
            unvested,
            unit=allowance.unit,
        ),
        actor=actor,
        memo=memo,
    )
