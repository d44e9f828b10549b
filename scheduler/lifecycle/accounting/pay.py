"""Pay: record what a person paid for their own compute, so that their fringe-benefit statement takes it off."""

from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.domain.errors import Conflict, InvalidInput, NotFound, NotPermitted, RefusalCode
from scheduler.domain.money import Currency
from scheduler.domain.people import Caller, Role
from scheduler.domain.quantities import exact_text, money_unit
from scheduler.domain.units import EngineerId, Instant
from scheduler.ledger.journal import PostedEntry
from scheduler.ledger.payments import paid_account, payment
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch
from scheduler.ports import Books

RECORDS_PAYMENTS = (Role.PEOPLE, Role.FINANCE)


@dataclass(frozen=True, slots=True)
class Payment:
    """What somebody says was paid: micro-units of the price book's currency; below zero, paid back."""

    engineer: EngineerId
    micro: int
    currency: Currency
    paid_at: Instant
    reason: str


def require_payment(books: Books, world: World, caller: Caller, asked: Payment, now: Instant) -> Caller:
    """Raises NotPermitted, NotFound, InvalidInput or Conflict for what can never be recorded."""
    recorder = caller.require(*RECORDS_PAYMENTS)
    if caller.engineer == asked.engineer:
        raise NotPermitted(
            "nobody records payments of their own",
            code=RefusalCode.SELF_BENEFIT,
            expected="another person with the right to",
        )
    if asked.engineer not in world.people:
        raise NotFound(f"there is no engineer {asked.engineer!r}", code=RefusalCode.UNKNOWN_ENGINEER)
    if asked.paid_at > now:
        raise InvalidInput("that day is still to come", where="paid_at", expected="when it was paid")
    book = world.price_book
    if book is None:
        raise Conflict("there is no price book yet", code=RefusalCode.NO_PRICES)
    if asked.currency != book.currency:
        raise InvalidInput(
            f"the books are in {book.currency}",
            where="currency",
            code=RefusalCode.UNKNOWN_CURRENCY,
            expected=book.currency,
        )
    payment("asked", asked.engineer, asked.micro, asked.currency, asked.paid_at, actor="", memo="")
    unit = money_unit(asked.currency)
    paid = sum(entry.amount for entry in payments_of(books, asked.engineer, asked.currency))
    if paid + asked.micro < 0:
        raise InvalidInput(
            "more would be paid back than was paid",
            where="quantity",
            code=RefusalCode.INVALID_AMOUNT,
            expected=f"at most the {exact_text(paid, unit)} that were paid",
        )
    return recorder


def record_payment(batch: Batch, caller: Caller, asked: Payment, payment_id: str, request_id: str) -> None:
    """Post it. What was paid in a closed period counts in the open one, marked with the day that it had."""
    caller = require_payment(batch.books, batch.world, caller, asked, batch.now)
    batch.post(
        payment(
            payment_id,
            asked.engineer,
            asked.micro,
            asked.currency,
            asked.paid_at,
            actor=caller.actor,
            memo=asked.reason,
        )
    )
    after = exact_text(asked.micro, money_unit(asked.currency))
    batch.audit(caller, "record payment", asked.engineer, request_id=request_id, after=after)


def payments_of(books: Books, engineer: EngineerId, currency: Currency) -> Iterator[PostedEntry]:
    """All that a person ever paid in this currency."""
    unit = money_unit(currency)
    return (entry for entry in books.journal.entries(accounts=[paid_account(engineer)]) if entry.unit == unit)
