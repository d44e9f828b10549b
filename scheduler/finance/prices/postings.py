"""Postings of use: what of the journal is worth money, read from either side of a transaction, and what it is worth.

A charge stands twice in the journal: taken from who paid (held, overrun, unfunded) and added to `charged`. A statement
reads the one side, an export the other; both find the same postings here, so both are worth the same.
"""

from dataclasses import dataclass

from scheduler.domain.money import Micro
from scheduler.domain.quantities import money_unit
from scheduler.domain.units import STANDARD_GPU, AttemptId, Instant, Unit
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.price_book import UnitPrice
from scheduler.finance.prices.rating import Part, Rating, charged_micro
from scheduler.ledger.journal import AccountKind, PostedEntry, TransactionKind

CHARGED_SIDE = (AccountKind.CHARGED, AccountKind.ALLOWANCE, AccountKind.OVERRUN, AccountKind.CORRECTED)
"""The kinds of account that `posting_of` reads for an export."""

WORTH = (TransactionKind.CHARGE, TransactionKind.REFUND, TransactionKind.CORRECTION)
"""The kinds of transaction that are worth anything."""

_PAYING = {
    AccountKind.HELD: "",
    AccountKind.OVERRUN: "overrun/",
    AccountKind.UNFUNDED: "unfunded/",
}


PLATFORM = "platform"
"""The other side of a correction of money."""


@dataclass(frozen=True, slots=True)
class Posting:
    """Use that somebody paid for, or got back. `payer` is the owner of its `charged` account: an allowance's id,
    `overrun/<engineer>` or `unfunded/<engineer>`. Given back, `gpu_ms` and `amount` are below zero. `money` is what a
    correction of money is; it has no time. `amount` is in the unit of what paid."""

    kind: TransactionKind
    transaction_id: str
    at: Instant
    payer: str
    attempt_id: AttemptId | None
    gpu_ms: int
    amount: int
    money: Micro | None = None
    memo: str = ""
    corrects_at: Instant | None = None
    """When it would have counted, had that period not been closed."""
    unit: Unit = STANDARD_GPU

    @property
    def standard(self) -> int:
        """Standard GPU-milliseconds: none where something else paid."""
        return self.amount if self.unit == STANDARD_GPU else 0

    @property
    def is_correction(self) -> bool:
        """Whether it belongs to a closed period, and counts in this one."""
        return self.corrects_at is not None or self.kind is TransactionKind.CORRECTION

    @property
    def is_unfunded(self) -> bool:
        return self.payer.startswith("unfunded/")


def charged_posting(entry: PostedEntry) -> Posting | None:
    """The posting that an entry is, by the side that was charged; None for the other entries of its transaction."""
    kind = entry.account.kind
    if kind is AccountKind.CORRECTED:
        return None if entry.account.owner == PLATFORM else _posting(entry, entry.account.owner, 0, entry.amount)
    if entry.kind is TransactionKind.REFUND:
        return _refunded(entry)
    if kind is AccountKind.CHARGED and _is_of_gpus(entry):
        return _posting(entry, entry.account.owner, 1)
    return None


def paid_posting(entry: PostedEntry) -> Posting | None:
    """The posting that an entry is, by the side that paid."""
    kind = entry.account.kind
    if kind is AccountKind.CORRECTED:
        return None if entry.account.owner == PLATFORM else _posting(entry, entry.account.owner, 0, entry.amount)
    if entry.kind is TransactionKind.REFUND:
        return _refunded(entry)
    if entry.kind is TransactionKind.CHARGE and kind in _PAYING and _is_of_gpus(entry):
        return _posting(entry, _PAYING[kind] + entry.account.owner, -1)
    if entry.kind is TransactionKind.CORRECTION and kind in _PAYING | {AccountKind.ALLOWANCE: ""}:
        return _posting(entry, _PAYING.get(kind, "") + entry.account.owner, -1)
    return None


def _is_of_gpus(entry: PostedEntry) -> bool:
    """GPU time is charged to an attempt, and a correction is of it; what a gateway charges is of no attempt."""
    return entry.attempt_id is not None or entry.kind is not TransactionKind.CHARGE


def _refunded(entry: PostedEntry) -> Posting | None:
    if entry.account.kind is AccountKind.ALLOWANCE:
        return _posting(entry, entry.account.owner, -1)
    if entry.account.kind is AccountKind.OVERRUN:
        return _posting(entry, f"overrun/{entry.account.owner}", -1)
    return None


def _posting(entry: PostedEntry, payer: str, sign: int, money: int | None = None) -> Posting:
    return Posting(
        kind=entry.kind,
        transaction_id=entry.transaction_id,
        at=entry.at,
        payer=payer,
        attempt_id=entry.attempt_id,
        gpu_ms=sign * entry.gpu_ms,
        amount=sign * entry.amount,
        money=None if money is None else Micro(money),
        memo=entry.memo,
        corrects_at=entry.corrects_at,
        unit=entry.unit,
    )


@dataclass(frozen=True, slots=True)
class Worth:
    """What a posting is worth: the ledger's amount, and the parts at one price each that it is the floor of.

    Unfunded use has parts, so that its list price can be told, and is worth nothing: nobody paid it.
    """

    micro: Micro
    parts: tuple[Part, ...] = ()


FREE = UnitPrice(Micro(0), Micro(0), Micro(0))


def worth_of(rating: Rating, posting: Posting, attempt: Attempt | None) -> Worth:
    """Raises NotFound (`price-missing`). A refund is worth what the last of the attempt cost, a correction what
    its own time did; a posting that no attempt stands behind moves hours alone. What money paid is worth that money."""
    if posting.money is not None:
        return Worth(posting.money)
    found = repriced(rating, posting, attempt)
    if attempt is not None and posting.unit == money_unit(rating.book.currency):
        return Worth(Micro(posting.amount), found.parts)
    return found


def repriced(rating: Rating, posting: Posting, attempt: Attempt | None) -> Worth:
    """The same by the prices alone, whatever was paid. Raises NotFound (`price-missing`)."""
    if attempt is None:
        return Worth(Micro(0))
    at = posting.at if posting.corrects_at is None else posting.corrects_at
    if posting.kind is TransactionKind.REFUND and attempt.ended_at is not None:
        at = Instant(min(at, attempt.ended_at - 1))
    parts = rating.parts_of(attempt, posting.gpu_ms, at)
    return Worth(Micro(0) if posting.is_unfunded else charged_micro(parts), parts)
