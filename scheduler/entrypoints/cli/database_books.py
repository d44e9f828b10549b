"""The views over a database file or its copy, for `offline`, which imports this only where a database was named."""

from collections.abc import Iterator
from contextlib import contextmanager

from scheduler.adapters.clock import SystemClock
from scheduler.adapters.policy_files import read_policy
from scheduler.adapters.sql.store import open_store
from scheduler.entrypoints.cli.offline import OfflineBooks
from scheduler.entrypoints.file_readers import READERS
from scheduler.entrypoints.pricing import stored_price_book
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views


@contextmanager
def database_books(url: str) -> Iterator[OfflineBooks]:
    """See `offline_books`. What runs and waits is left where it is: no statement and no export tells of it, and with tens
    of thousands of workloads it would be most of what is in memory."""
    store = open_store(url, migrate=False)
    try:
        world, now = World(), SystemClock().now()
        with store.reading() as books:
            world.load_directory(books)
            policy = books.control.current_policy()
            world.price_book = stored_price_book(books)
        if policy is not None:
            world.put_policy(read_policy(policy.text, policy.name))
        yield OfflineBooks(Views(store, world), MoneyViews(store, world, READERS.policy), now)
    finally:
        store.close()
