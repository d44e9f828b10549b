"""Price: put a price book in force, and correct what is closed by postings in the open period."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator

from scheduler.domain.approvals import Persons, approval_needed
from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode
from scheduler.domain.money import Micro
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import Period, iso
from scheduler.domain.quantities import money_unit
from scheduler.domain.records import PriceBookVersion
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant, PoolName, Unit
from scheduler.finance.prices.postings import PLATFORM, WORTH, repriced
from scheduler.finance.prices.price_book import END_OF_TIME, PriceBook, UnitPrice
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.journal import Account, AccountKind, Transaction, TransactionKind, transfer_entries
from scheduler.lifecycle.accounting.valued import valued
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.ports import Books, Store


class Pricing:
    """What finance does with prices."""

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world

    def apply(
        self,
        caller: Caller,
        text: str,
        book: PriceBook,
        *,
        now: Instant,
        request_id: str = "",
        corrects: bool = False,
    ) -> PriceBookVersion:
        """Put a price book in force: everything that is not closed is worth what it says.

        Where it changes a price of a closed period it is refused (Conflict, `rate-closed`), unless it `corrects`:
        then the difference to what was charged is posted in the open period, one correction for each who paid.
        Raises InvalidInput (`no-class-priced`) for a book that values nothing of ours; Conflict (`approval-needed`) where
        it takes a second person: see `Approvals.apply_prices`.
        """
        caller = caller.require(Role.FINANCE)
        if prices_wait(self._world, book, corrects=corrects):
            raise approval_needed("a price book")
        with changing(self._store, self._world, now) as batch:
            return put_prices(batch, caller, text, book, request_id=request_id, corrects=corrects)


def prices_wait(world: World, book: PriceBook, *, corrects: bool) -> bool:
    """Whether it needs a second person, by the policy in force. The first one does not: there was nobody to have agreed
    yet. Nor does the one in force, put again as it is: it changes nothing, unless it is to correct what was closed."""
    current = world.price_book
    if world.policy is None or current is None or world.policy.approvals.prices is Persons.ONE:
        return False
    return corrects or book.hash != current.hash


def put_prices(
    batch: Batch, caller: Caller, text: str, book: PriceBook, *, request_id: str, corrects: bool
) -> PriceBookVersion:
    """Put it on record and in force, and post what it corrects. See `Pricing.apply`."""
    world = batch.world
    corrections, closed = require_prices(batch, book, corrects=corrects), batch.books.periods.closed()
    version = PriceBookVersion(book.hash, book.name, text, batch.now, caller.actor)
    before, current = world.price_book, batch.books.prices.current()
    if current is None or current.hash != book.hash:
        batch.books.prices.add(version)
    batch.post(*corrections)
    was = "" if current is None else f"{current.name} {current.hash}"
    after = f"{book.name} {book.hash}"
    batch.audit(caller, "apply prices", book.hash, request_id=request_id, before=was, after=after)
    following = book if before is None else before.succeeded_by(book, closed)

    def follow() -> None:
        world.price_book = following

    batch.then(follow)
    return version


def require_prices(batch: Batch, book: PriceBook, *, corrects: bool) -> list[Transaction]:
    """That it could take effect as things are. Returns what it corrects of closed periods. See `Pricing.apply`."""
    _require_priced(batch.world, book)
    closed, before = batch.books.periods.closed(), batch.world.price_book
    _require_costs(book, closed)
    if before is None:
        return []
    if before.currency != book.currency:
        _require_unused(batch.books, before, closed)
    changed = list(_changed(before.alone, book, closed))
    if changed and not corrects:
        raise _closed(changed[0])
    spans = dict.fromkeys((start, end) for start, end, *_ in changed)
    prices, number = (before.alone, book), _number(batch.books, book)
    return [each for span in spans for each in _corrections(batch.books, prices, span, number, batch.now)]


def _number(books: Books, book: PriceBook) -> int:
    """Which of all that were ever put in force it is, or will be."""
    current = books.prices.current()
    if current is None:
        return 1
    return current.seq if current.hash == book.hash else current.seq + 1


def _require_priced(world: World, book: PriceBook) -> None:
    """That it prices some GPU class of the policy. Raises InvalidInput (`no-class-priced`)."""
    known = world.policy.gpu_classes if world.policy is not None else {}
    named = {rate.gpu_class for rate in book.rates}
    if known and not named & known.keys():
        raise InvalidInput(
            f"{book.name} prices {', '.join(sorted(named)) or 'nothing'}, and no GPU class of the policy",
            where="rates",
            code=RefusalCode.NO_CLASS_PRICED,
            expected=f"a rate of {' or '.join(sorted(known))}",
        )


def _require_costs(book: PriceBook, closed: Collection[tuple[Instant, Instant]]) -> None:
    """A book that has electricity, or hardware of a class, has it for every hour that it prices after what is closed.

    Raises InvalidInput (`price-gap`), naming the first hour without.
    """
    for what, starts_at, ends_at in book.uncosted():
        first = max([starts_at, *(ends for _, ends in closed)])
        if first < ends_at:
            raise InvalidInput(
                f"{book.name} has prices and no {what} in the hour from {iso(first)}",
                where="electricity" if what == "electricity" else "hardware",
                code=RefusalCode.PRICE_GAP,
                expected=f"{what} for every hour that has a price, or none at all",
                remedy="let the first begin with the prices, and the last hold as long; what is written off costs 0",
            )


def _require_unused(books: Books, before: PriceBook, closed: Collection[object]) -> None:
    """Books are kept in one currency: what was worth euros is not worth as many dollars.

    Raises InvalidInput (`unknown-currency`) where something was charged, granted or closed in the other.
    """
    unit = money_unit(before.currency)
    is_used = (
        closed
        or books.journal.kind_totals(kinds=list(AccountKind), ends_at=END_OF_TIME, unit=unit)
        or books.journal.count(transactions=WORTH, starts_at=Instant(0), ends_at=END_OF_TIME)
    )
    if is_used:
        raise InvalidInput(
            f"the books are kept in {before.currency}",
            where="currency",
            code=RefusalCode.UNKNOWN_CURRENCY,
            expected=before.currency,
        )


_Changed = tuple[Instant, Instant, str, Instant]
"""A closed period, and a price of it that changes: of what, in which hour."""


def _changed(before: PriceBook, after: PriceBook, closed: list[tuple[Instant, Instant]]) -> Iterator[_Changed]:
    prices = {**_prices_of_gpus(before, after), **_prices_of_tokens(before, after), **_costs(before, after)}
    for start, end in closed:
        for what, (was, becomes) in prices.items():
            for at in range(start, end, MS_PER_HOUR):
                if was(Instant(at)) != becomes(Instant(at)):
                    yield start, end, what, Instant(at)
                    break


_PriceAt = Callable[[Instant], UnitPrice | Micro | None]


def _prices_of_gpus(before: PriceBook, after: PriceBook) -> dict[str, tuple[_PriceAt, _PriceAt]]:
    """What an hour of each class and pool that either book names costs, by each."""

    def by(rating: Rating, gpu_class: GpuClassName, pool: PoolName) -> _PriceAt:
        return lambda at: None if (priced := rating.price_at(gpu_class, pool, at)) is None else priced.unit

    old, new = Rating(before), Rating(after)
    keys = sorted({(rate.gpu_class, rate.pool or PoolName("")) for book in (before, after) for rate in book.rates})
    return {
        f"{gpu_class}{f' in {pool}' if pool else ''}": (by(old, gpu_class, pool), by(new, gpu_class, pool))
        for gpu_class, pool in keys
    }


def _prices_of_tokens(before: PriceBook, after: PriceBook) -> dict[str, tuple[_PriceAt, _PriceAt]]:
    """The same of tokens: of each model that either names, and of every other."""

    def by(book: PriceBook, model: str) -> _PriceAt:
        return lambda at: None if (rate := book.token_rate_at(model, at)) is None else rate.price

    models = sorted({rate.model or "" for book in (before, after) for rate in book.token_rates})
    return {f"tokens of {model or 'every model'}": (by(before, model), by(after, model)) for model in models}


def _costs(before: PriceBook, after: PriceBook) -> dict[str, tuple[_PriceAt, _PriceAt]]:
    """What a kilowatt-hour costs, and an hour of the hardware of each class that either names."""

    def by(book: PriceBook, gpu_class: GpuClassName) -> _PriceAt:
        return lambda at: None if (item := book.hardware_at(gpu_class, at)) is None else item.micro_per_hour

    classes = sorted({item.gpu_class for book in (before, after) for item in book.hardware})
    hardware = {f"hardware of {name}": (by(before, name), by(after, name)) for name in classes}
    return {"electricity": (before.micro_per_kwh, after.micro_per_kwh), **hardware}


def _corrections(
    books: Books, prices: tuple[PriceBook, PriceBook], span: tuple[Instant, Instant], number: int, now: Instant
) -> Iterator[Transaction]:
    """What each who paid in the closed period is charged more, or less, by the later prices: the `number`th that were put
    in force. A book that was in force before comes back under another number, and its corrections are new ones."""
    before, after = Rating(prices[0]), Rating(prices[1])
    period = Period(f"{iso(span[0])}/{iso(span[1])}", *span)
    difference: dict[str, int] = defaultdict(int)
    for item in valued(books, before, period):
        if item.posting.money is None:
            was, becomes = (repriced(each, item.posting, item.attempt).micro for each in (before, after))
            difference[item.posting.payer] += becomes - was
    unit = Unit(f"{prices[1].currency}-micro")
    for payer, micro in sorted(difference.items()):
        if micro:
            yield Transaction(
                id=f"prices:{number}:{prices[1].hash[:16]}:{span[0]}:{payer}",
                kind=TransactionKind.CORRECTION,
                at=now,
                entries=transfer_entries(
                    Account(AccountKind.CORRECTED, PLATFORM), Account(AccountKind.CORRECTED, payer), micro, unit=unit
                ),
                memo=f"prices of {period.name} by {prices[1].name}",
            )


def _closed(changed: _Changed) -> Conflict:
    start, end, what, at = changed
    return Conflict(
        f"the price of {what} at {iso(at)} would change, and {iso(start)} to {iso(end)} is closed",
        code=RefusalCode.RATE_CLOSED,
        expected="the prices of closed periods as they were",
        remedy="leave them, or correct them in the open period with `allot prices apply FILE --correct`",
    )
