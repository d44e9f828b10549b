"""The fringe-benefit statement of a person for a tax year."""

from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.domain.money import Currency, Micro
from scheduler.domain.periods import Period
from scheduler.domain.units import EngineerId, Instant, WorkloadId
from scheduler.domain.workloads import WorkloadSpec
from scheduler.finance.fringe import COUNSEL_DECIDES, Fringe, FringeRow
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.lifecycle.accounting.pay import payments_of
from scheduler.lifecycle.accounting.valued import valued
from scheduler.lifecycle.views.owners import Owner
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class PaymentView:
    """What was paid when; below zero, paid back."""

    paid_at: Instant
    micro: Micro
    transaction_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class FringeView:
    """Of what the person's own allowances paid, and what they used beyond. `paid_beyond_micro` is what they paid that there
    is nothing includable for; `payments` are those of the year. `notice` says who decides."""

    owner: str
    owner_name: str
    year: str
    starts_at: Instant
    ends_at: Instant
    currency: Currency
    rows: tuple[FringeRow, ...]
    gpu_ms: int
    value_micro: Micro
    paid_micro: Micro
    excluded_micro: Micro
    includable_micro: Micro
    paid_beyond_micro: Micro
    payments: tuple[PaymentView, ...]
    notice: str


def fringe_view(books: Books, book: PriceBook, owner: Owner, year: Period) -> FringeView:
    """Raises NotFound (`price-missing`)."""
    assert owner.holders is not None, "a person has holders"
    mine = {balance.allowance.id for balance in books.allowances.balances(holders=sorted(owner.holders))}
    payers = {*mine, *(f"overrun/{engineer}" for engineer in owner.engineers)}
    specs: dict[WorkloadId, WorkloadSpec | None] = {}
    made = Fringe(f"{book.name}, sha256 {book.hash[:12]}", book.day_of)
    for item in valued(books, Rating(book), year, payers):
        posting = item.posting
        if item.attempt is not None:
            workload_id = item.attempt.workload_id
            if workload_id not in specs:
                workload = books.workloads.get(workload_id)
                specs[workload_id] = None if workload is None else workload.spec
            made.add(specs[workload_id], item.attempt, item.worth.parts)
        elif posting.model is not None and item.worth.tokens is not None:
            is_personal = item.hold is None or item.hold.project is None
            made.add_tokens(posting.model, posting.amount, item.worth.tokens, is_personal=is_personal)
    payments = tuple(_payments(books, owner, book.currency, year))
    paid = sum(each.micro for each in payments)
    rows = made.rows(max(0, paid))
    return FringeView(
        owner=owner.id,
        owner_name=owner.name,
        year=year.name,
        starts_at=year.starts_at,
        ends_at=year.ends_at,
        currency=book.currency,
        rows=rows,
        gpu_ms=sum(row.gpu_ms for row in rows),
        value_micro=Micro(sum(row.value_micro for row in rows)),
        paid_micro=Micro(sum(row.paid_micro for row in rows)),
        excluded_micro=Micro(sum(row.excluded_micro for row in rows)),
        includable_micro=Micro(sum(row.includable_micro for row in rows)),
        paid_beyond_micro=Micro(paid - sum(row.paid_micro for row in rows)),
        payments=payments,
        notice=COUNSEL_DECIDES,
    )


def _payments(books: Books, owner: Owner, currency: Currency, year: Period) -> Iterator[PaymentView]:
    """By the day on which each was paid, wherever it was recorded too late for that day's period."""
    for engineer in sorted(owner.engineers):
        for entry in payments_of(books, EngineerId(engineer), currency):
            paid_at = entry.at if entry.corrects_at is None else entry.corrects_at
            if year.starts_at <= paid_at < year.ends_at:
                yield PaymentView(paid_at, Micro(entry.amount), entry.transaction_id, entry.memo)
