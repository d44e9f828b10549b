"""What a cycle asks the books for is found by an index, however many rows there are."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.units import JobUid
from scheduler.ports import Books
from tests.adapters.sql.values import ALLOWANCE, ATTEMPT, HOLD, WORKLOAD
from tests.plugins.migrated import open_migrated

_ASKED: dict[str, Callable[[Books], object]] = {
    "workloads by their Jobs": lambda books: books.workloads.with_jobs([JobUid("u")]),
    "workloads by their ids": lambda books: books.workloads.many([WORKLOAD.id]),
    "the versions of workloads": lambda books: books.workloads.save([WORKLOAD]),
    "attempts by their workloads": lambda books: books.attempts.of_workloads([WORKLOAD.id]),
    "attempts by their bookings": lambda books: books.attempts.inside([WORKLOAD.id]),
    "pods by their attempts": lambda books: books.attempts.pods_of([ATTEMPT.id]),
    "holds by their attempts": lambda books: books.holds.of_attempts([ATTEMPT.id]),
    "what was set aside": lambda books: books.holds.reserved_for(HOLD.workload_id),
    "the balances of allowances": lambda books: books.allowances.balances(ids=[ALLOWANCE.id]),
    "the latest verdicts": lambda books: books.verdicts.latest([WORKLOAD.id]),
}


_SAVED: dict[str, tuple[Callable[[Books], object], set[str]]] = {
    "workload": (
        lambda books: books.workloads.save([replace(WORKLOAD, version=WORKLOAD.version + 1)]),
        {"workloads_by_state", "workloads_by_job_uid"},
    ),
    "attempt": (lambda books: books.attempts.save([ATTEMPT]), {"attempts_by_state"}),
}


@pytest.mark.parametrize("asked", _ASKED)
def test_nothing_that_a_cycle_asks_for_is_looked_for_row_by_row(asked: str) -> None:
    store = open_migrated()
    steps = [step for *_, step in explained(store, "EXPLAIN QUERY PLAN", _ASKED[asked])]
    store.close()
    assert steps
    assert [step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step] == []


@pytest.mark.parametrize("saved", _SAVED)
def test_a_row_that_changes_leaves_the_indexes_of_what_never_does_alone(saved: str) -> None:
    save, expected = _SAVED[saved]

    def added_and_saved(books: Books) -> None:
        books.workloads.add([WORKLOAD])
        books.attempts.add([ATTEMPT])
        save(books)

    store = open_migrated()
    plan, roots = explained(store, "EXPLAIN", added_and_saved, "UPDATE"), indexes_of(store)
    store.close()
    assert {roots[root] for _, step, _, root, *_ in plan if step == "OpenWrite" and root in roots} == expected


def explained(
    store: SqlStore, how: str, asked: Callable[[Books], object], beginning: str = ""
) -> list[tuple[Any, ...]]:
    """What SQLite says that it does for the statements that begin so."""
    said: list[str] = []
    with store.writing() as books:
        driver = _driver(store)
        driver.set_trace_callback(said.append)
        asked(books)
        driver.set_trace_callback(None)
        found = [driver.execute(f"{how} {text}").fetchall() for text in said if text.startswith(beginning)]
    return [row for rows in found for row in rows]


def indexes_of(store: SqlStore) -> dict[int, str]:
    """Our own, by the page that each begins with."""
    return dict(
        _driver(store).execute("SELECT rootpage, name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    )


def _driver(store: SqlStore) -> sqlite3.Connection:
    assert store._kept is not None, "SQLite's one connection is kept"
    driver: object = store._kept.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
