"""Postings of use: what of the journal is worth money, read from either side of a transaction, and what it is worth.

A charge stands twice in the journal: taken from who paid (held, overrun, unfunded) and added to `charged`. A statement
reads the one side, an export the other; both find the same postings here, so both are worth the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scheduler.domain.money import Micro
from scheduler.domain.quantities import is_tokens
from scheduler.domain.units import MS_PER_HOUR, STANDARD_GPU, AttemptId, Instant, Unit
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.price_book import TokenRate, UnitPrice
from scheduler.finance.prices.rating import Part, Priced, Rating, charged_micro, tokens_micro
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, TransactionKind, Used
from scheduler.ledger.token_holds import drawn_by

CHARGED_SIDE = (AccountKind.CHARGED, AccountKind.ALLOWANCE, AccountKind.OVERRUN, AccountKind.CORRECTED)
"""The kinds of account that `charged_posting` reads for an export."""

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
    def model(self) -> str | None:
        """Whose tokens they are; None of everything else."""
        is_drawn = self.kind is TransactionKind.CHARGE and is_tokens(self.unit)
        return drawn_by(self.memo)[0] if is_drawn else None

    @property
    def hold_id(self) -> str:
        """Of tokens: the gateway's hold that they were charged to. Empty of everything else."""
        return "" if self.model is None else drawn_by(self.memo)[1]

    @property
    def is_correction(self) -> bool:
        """Whether it belongs to a closed period, and counts in this one."""
        return self.corrects_at is not None or self.kind is TransactionKind.CORRECTION

    @property
    def is_unfunded(self) -> bool:
        return self.payer.startswith("unfunded/")


def charged_accounts(payers: Iterable[str]) -> list[Account]:
    """The accounts on which `charged_posting` finds all that these paid, got back or had corrected, and little else."""
    found: list[Account] = []
    for payer in sorted(payers):
        found += (Account(AccountKind.CHARGED, payer), Account(AccountKind.CORRECTED, payer))
        kind, slash, owner = payer.partition("/")
        if slash and kind == AccountKind.OVERRUN.value:
            found.append(Account(AccountKind.OVERRUN, owner))
        found.append(Account(AccountKind.ALLOWANCE, payer))
    return found


def charged_posting(entry: PostedEntry) -> Posting | None:
    """The posting that an entry is, by the side that was charged; None for the other entries of its transaction."""
    kind = entry.account.kind
    if kind is AccountKind.CORRECTED:
        return None if entry.account.owner == PLATFORM else _posting(entry, entry.account.owner, 0, entry.amount)
    if entry.kind is TransactionKind.REFUND:
        return _refunded(entry)
    if kind is AccountKind.CHARGED:
        return _posting(entry, entry.account.owner, 1)
    return None


def paid_posting(entry: PostedEntry) -> Posting | None:
    """The posting that an entry is, by the side that paid."""
    kind = entry.account.kind
    if kind is AccountKind.CORRECTED:
        return None if entry.account.owner == PLATFORM else _posting(entry, entry.account.owner, 0, entry.amount)
    if entry.kind is TransactionKind.REFUND:
        return _refunded(entry)
    if entry.kind is TransactionKind.CHARGE and kind in _PAYING:
        return _posting(entry, _PAYING[kind] + entry.account.owner, -1)
    if entry.kind is TransactionKind.CORRECTION and kind in _PAYING | {AccountKind.ALLOWANCE: ""}:
        return _posting(entry, _PAYING.get(kind, "") + entry.account.owner, -1)
    return None


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
    """What a posting is worth: the ledger's amount, and the parts at one price each that it is the floor of; of tokens
    the one rate that they have.

    Unfunded use has parts, so that its list price can be told, and is worth nothing: nobody paid it.
    """

    micro: Micro
    parts: tuple[Part, ...] = ()
    tokens: TokenRate | None = None


FREE = UnitPrice(Micro(0), Micro(0), Micro(0))


def worth_of(rating: Rating, posting: Posting, attempt: Attempt | None) -> Worth:
    """Raises NotFound (`price-missing`). A refund is worth what the last of the attempt cost, a correction what
    its own time did; a posting that no attempt stands behind moves hours alone. What money paid is worth that money."""
    if posting.money is not None:
        return Worth(posting.money)
    found = repriced(rating, posting, attempt)
    if attempt is not None and posting.unit == rating.money_unit:
        return Worth(Micro(posting.amount), found.parts)
    return found


def repriced(rating: Rating, posting: Posting, attempt: Attempt | None) -> Worth:
    """The same by the prices alone, whatever was paid. Raises NotFound (`price-missing`)."""
    at = posting.at if posting.corrects_at is None else posting.corrects_at
    if posting.model is not None:
        rate = rating.tokens_at(posting.model, at)
        return Worth(tokens_micro(posting.amount, rate.price.effective), tokens=rate)
    if attempt is None:
        return Worth(Micro(0))
    if posting.kind is TransactionKind.REFUND and attempt.ended_at is not None:
        at = Instant(min(at, attempt.ended_at - 1))
    parts = rating.parts_of(attempt, posting.gpu_ms, at)
    return Worth(Micro(0) if posting.is_unfunded else charged_micro(parts), parts)


def plainly_priced(rating: Rating, used: Iterable[Used], left: list[int]) -> Iterator[tuple[Used, Priced, int]]:
    """Charges of attempts that stand at one price, each with that and with its worth in micro-units, as `worth_of` has it.
    The numbers of the others go into `left`: they change their price, or take the attempt itself to tell."""
    single, money = rating.single, rating.money_unit
    for each in used:
        gpus = each.gpus
        priced = None
        if gpus is not None and each.unit != money:
            priced = single(each.gpu_class, each.pool, gpus, each.gpu_ms, each.at)
        if priced is None:
            left.append(each.seq)
        else:
            yield each, priced, 0 if each.is_unfunded else -each.gpu_ms * priced.unit.effective // MS_PER_HOUR


def plain_price(rating: Rating, entry: PostedEntry) -> Priced | None:
    """The one price that a charge of an attempt stands at, by the side that paid; None of everything else, and where it
    takes the attempt itself to tell what it is worth: then `paid_posting` is valued."""
    terms = entry.terms
    if terms is None or terms.gpus is None or entry.kind is not TransactionKind.CHARGE:
        return None
    if entry.account.kind not in _PAYING or entry.corrects_at is not None or entry.unit == rating.money_unit:
        return None
    return rating.single(terms.gpu_class, terms.pool, terms.gpus, entry.gpu_ms, entry.at)


def plain_micro(entry: PostedEntry, priced: Priced) -> Micro:
    """As `worth_of` has it."""
    if entry.account.kind is AccountKind.UNFUNDED:
        return Micro(0)
    return Micro(-entry.gpu_ms * priced.unit.effective // MS_PER_HOUR)
