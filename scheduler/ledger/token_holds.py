"""Tokens drawn by a gateway: held before an answer is made, charged up to what it took, and the rest released.

A charge names the cumulative total of its hold, so that a repeated one posts nothing; it is never above what is held:
a gateway holds the most that an answer may take. What nobody resolves is released when the hold runs out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode
from scheduler.domain.units import AllowanceId, EngineerId, Instant, ProjectName, TeamName, Unit
from scheduler.ledger.journal import Account, AccountKind, Transaction, TransactionKind, charged_to, transfer_entries


class TokenHoldState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class TokenShare:
    """What one allowance set aside, in its unit: tokens of the model, or of any."""

    allowance_id: AllowanceId
    unit: Unit
    tokens: int


@dataclass(frozen=True, slots=True)
class TokenHold:
    """`shares` in funding order; charges use them up in it: `used` of them are charged so far. `by` is the gateway."""

    id: str
    owner: EngineerId
    model: str
    project: ProjectName | None
    shares: tuple[TokenShare, ...]
    opened_at: Instant
    expires_at: Instant
    by: str
    team: TeamName | None = None
    """The owner's when it was held: whose cost centre it is, whatever team they are in later."""
    used: int = 0
    state: TokenHoldState = TokenHoldState.OPEN
    resolved_at: Instant | None = None

    @property
    def tokens(self) -> int:
        """Held in all."""
        return sum(share.tokens for share in self.shares)

    def paid_of(self, total: int) -> list[int]:
        """How much of a cumulative total each share pays."""
        paid = []
        for share in self.shares:
            paid.append(min(share.tokens, total))
            total -= paid[-1]
        return paid


class TokenHoldBook(Protocol):
    def add(self, hold: TokenHold) -> None: ...

    def get(self, hold_id: str) -> TokenHold | None: ...

    def many(self, ids: Sequence[str]) -> Mapping[str, TokenHold]:
        """Those that are known, by their ids."""
        ...

    def save(self, hold: TokenHold) -> None:
        """What it was charged, and its state."""
        ...

    def overdue(self, now: Instant, *, limit: int) -> list[TokenHold]:
        """Open ones that have run out by then, by their ids: the first so many."""
        ...


def hold_tokens(hold: TokenHold) -> list[Transaction]:
    """Set them aside: one transaction a share."""
    return [
        _move(hold, TransactionKind.HOLD, f"hold:{hold.id}:{place}", hold.opened_at, share, share.tokens)
        for place, share in enumerate(hold.shares)
    ]


def charge_tokens(hold: TokenHold, total: int, at: Instant) -> tuple[TokenHold, list[Transaction]]:
    """Charge up to the cumulative total. The same total again, or a lower one that came late, posts nothing.

    Raises InvalidInput (`hold-exceeded`) where more is charged than is held; Conflict (`wrong-state`) where it is resolved
    and more would be charged.
    """
    if total <= hold.used:
        return hold, []
    if total > hold.tokens:
        raise InvalidInput(
            f"{total} tokens are more than the {hold.tokens} that {hold.id} holds",
            where="tokens",
            code=RefusalCode.HOLD_EXCEEDED,
            expected=f"at most {hold.tokens}",
            remedy="hold the most that an answer may take; for what is beyond, hold again",
        )
    if hold.state is not TokenHoldState.OPEN:
        raise Conflict(f"{hold.id} is resolved: {hold.used} tokens were charged", expected="an open hold")
    before, after = hold.paid_of(hold.used), hold.paid_of(total)
    made = [
        _move(hold, TransactionKind.CHARGE, f"charge:{hold.id}:{total}:{place}", at, share, paid - known)
        for place, (share, known, paid) in enumerate(zip(hold.shares, before, after, strict=True))
        if paid > known
    ]
    return replace(hold, used=total), made


def release_tokens(hold: TokenHold, at: Instant) -> tuple[TokenHold, list[Transaction]]:
    """What was not charged goes back, once; done twice, it is done once."""
    if hold.state is TokenHoldState.RESOLVED:
        return hold, []
    made = [
        _move(hold, TransactionKind.RELEASE, f"release:{hold.id}:{place}", at, share, share.tokens - paid)
        for place, (share, paid) in enumerate(zip(hold.shares, hold.paid_of(hold.used), strict=True))
        if share.tokens > paid
    ]
    return replace(hold, state=TokenHoldState.RESOLVED, resolved_at=at), made


def _move(
    hold: TokenHold, kind: TransactionKind, name: str, at: Instant, share: TokenShare, tokens: int
) -> Transaction:
    own, held = (Account(each, share.allowance_id) for each in (AccountKind.ALLOWANCE, AccountKind.HELD))
    source, target = {
        TransactionKind.HOLD: (own, held),
        TransactionKind.CHARGE: (held, charged_to(share.allowance_id)),
        TransactionKind.RELEASE: (held, own),
    }[kind]
    entries = transfer_entries(source, target, tokens, unit=share.unit)
    return Transaction(name, kind, at, entries, actor=hold.by, memo=f"{hold.model}{_BETWEEN}{hold.id}")


def drawn_by(memo: str) -> tuple[str, str]:
    """The model and the hold that a transaction of tokens names: a name of ours has no comma, a model may."""
    model, _, hold_id = memo.rpartition(_BETWEEN)
    return model, hold_id


_BETWEEN = ", "
