"""The views over a database file or its copy, for `offline`, which imports this only where a database was named."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scheduler.adapters.clock import SystemClock
from scheduler.adapters.policy_files import read_policy
from scheduler.adapters.sql.store import open_store
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import Instant
from scheduler.entrypoints.file_readers import READERS
from scheduler.entrypoints.pricing import stored_price_book
from scheduler.entrypoints.simulation_state import saved_now
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views

READER = Caller("database", frozenset({Role.AUDITOR}))
"""Whoever holds the database sees what an auditor does."""


@dataclass(frozen=True, slots=True)
class OfflineBooks:
    views: Views
    money: MoneyViews
    now: Instant
    """That of a simulated company is where its own clock stood when it was saved."""

    caller: Caller = READER


@contextmanager
def database_books(url: str) -> Iterator[OfflineBooks]:
    """See `offline_books`. What runs and waits is left where it is: no statement and no export tells of it, and with tens
    of thousands of workloads it would be most of what is in memory."""
    store = open_store(url, migrate=False)
    try:
        world = World()
        with store.reading() as books:
            now = saved_now(books) or SystemClock().now()
            world.load_directory(books)
            policy = books.control.current_policy()
            world.price_book = stored_price_book(books)
        if policy is not None:
            world.put_policy(read_policy(policy.text, policy.name))
        yield OfflineBooks(Views(store, world), MoneyViews(store, world, READERS.policy), now)
    finally:
        store.close()
