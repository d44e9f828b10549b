"""The books without a server: a database that is read where it lies, or a copy of one."""

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
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.world import World

READER = Caller("database", frozenset({Role.AUDITOR}))
"""Whoever holds the database sees what an auditor does."""


@dataclass(frozen=True, slots=True)
class OfflineBooks:
    views: Views
    money: MoneyViews
    now: Instant
    caller: Caller = READER


@contextmanager
def offline_books(url: str) -> Iterator[OfflineBooks]:
    """The views over a database that is not migrated and not written. Raises Unavailable where it cannot be used."""
    store = open_store(url, migrate=False)
    try:
        world, now = World(), SystemClock().now()
        with store.reading() as books:
            world.load(books, now)
            policy = books.control.current_policy()
            world.price_book = stored_price_book(books)
        if policy is not None:
            world.put_policy(read_policy(policy.text, policy.name))
        yield OfflineBooks(Views(store, world), MoneyViews(store, world, READERS.policy), now)
    finally:
        store.close()
