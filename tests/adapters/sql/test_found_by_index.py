"""What a cycle asks the books for is found by an index, however many rows there are."""

import sqlite3
from collections.abc import Callable

import pytest

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


@pytest.mark.parametrize("asked", _ASKED)
def test_nothing_that_a_cycle_asks_for_is_looked_for_row_by_row(asked: str) -> None:
    store = open_migrated()
    said: list[str] = []
    with store.writing() as books:
        assert store._kept is not None, "SQLite's one connection is kept"
        driver: object = store._kept.connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_trace_callback(said.append)
        _ASKED[asked](books)
        driver.set_trace_callback(None)
        plans = [driver.execute(f"EXPLAIN QUERY PLAN {text}").fetchall() for text in said]
    store.close()
    steps = [step for plan in plans for *_, step in plan]
    assert steps
    assert [step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step] == []
