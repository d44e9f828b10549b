"""Price: put a price book in force."""

from scheduler.domain.people import Caller, Role
from scheduler.domain.records import PriceBookVersion
from scheduler.domain.units import Instant
from scheduler.finance.price_book import PriceBook
from scheduler.lifecycle.batch import changing
from scheduler.lifecycle.world import World
from scheduler.ports import Store


class Pricing:
    """What finance does with prices."""

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world

    def apply(
        self, caller: Caller, text: str, book: PriceBook, *, now: Instant, request_id: str = ""
    ) -> PriceBookVersion:
        """Put a price book in force: everything that is not closed is worth what it says."""
        caller.require(Role.FINANCE)
        version = PriceBookVersion(book.hash, book.name, text, now, caller.actor)
        with changing(self._store, self._world, now) as batch:
            current = batch.books.prices.current()
            if current is None or current.hash != book.hash:
                batch.books.prices.add(version)
            batch.audit(caller, "apply prices", book.hash, request_id=request_id, after=book.name)
            self._world.price_book = book
        return version
