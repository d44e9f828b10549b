"""Many at once: what fits wins, once, and everybody gets their turn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread
from time import monotonic, sleep

import pytest
from sqlalchemy import Connection

from scheduler.adapters.sql.locking import FairLock
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.errors import Conflict, Exhausted, RefusalCode, Unavailable
from scheduler.domain.quantities import money_unit
from scheduler.domain.terms import Draw
from scheduler.domain.units import STANDARD_GPU, Instant
from scheduler.ledger.grants import grant
from scheduler.ledger.holding import hold
from scheduler.ledger.journal import Account, AccountKind
from tests.adapters.sql.conftest import PATIENT_SECONDS
from tests.adapters.sql.invariants import violations
from tests.adapters.sql.values import ATTEMPT, WORKLOAD
from tests.ledger.build import allowance
from tests.ledger.build import hold as a_hold
from tests.plugins.migrated import open_migrated, share_statements

RACERS = 64


def race(count: int, run: Callable[[int], None]) -> list[BaseException | None]:
    """What each of them ended with, all having started together."""
    start = Barrier(count)
    ends: list[BaseException | None] = [None] * count

    def racer(number: int) -> None:
        start.wait()
        try:
            run(number)
        except BaseException as error:  # noqa: BLE001  # told to the test, which judges it
            ends[number] = error

    threads = [Thread(target=racer, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


@pytest.fixture
def stores(url: str, store: SqlStore) -> list[SqlStore]:
    """Two on one database, as two processes would have."""
    with store.writing() as books:
        books.workloads.add([WORKLOAD])
        books.attempts.add([ATTEMPT])
    return [store, share_statements(open_store(url, migrate=False, patience_seconds=PATIENT_SECONDS))]


@pytest.mark.parametrize(
    ("granted", "overdraft", "each", "fit", "draw"),
    [
        pytest.param(1_000, 0, 100, 10, None, id="what fits exactly"),
        pytest.param(999, 0, 100, 9, None, id="one too few"),
        pytest.param(0, 1, 1, 1, None, id="a never-used account, overdraft for one"),
        pytest.param(100, 50, 40, 3, None, id="overdraft"),
        pytest.param(0, 0, 1, 0, None, id="nothing"),
        pytest.param(999, 0, 100, 9, Draw(money_unit("EUR"), 2_500_000), id="money"),
    ],
)
def test_of_many_holds_racing_for_one_allowance_exactly_those_that_fit_win(
    stores: list[SqlStore], raw: Connection, granted: int, overdraft: int, each: int, fit: int, draw: Draw | None
) -> None:
    unit = STANDARD_GPU if draw is None else draw.unit
    awarded = allowance(granted, overdraft=overdraft, unit=unit)
    with stores[0].writing() as books:
        books.allowances.add(awarded)
        if granted:
            books.journal.post([grant(awarded, actor="e-9")], Instant(0))

    def take(number: int) -> None:
        made = replace(a_hold(each, name=str(number)), draw=draw)
        with stores[number % 2].writing() as books:
            books.holds.open([made])
            books.journal.post(hold([made]), Instant(1))

    ends = race(RACERS, take)
    assert sum(end is None for end in ends) == fit
    assert {type(end) for end in ends if end is not None} <= {Exhausted}
    with stores[1].reading() as books:
        assert books.journal.balance(Account(AccountKind.HELD, "a-1"), unit) == fit * each
        assert books.journal.balance(Account(AccountKind.ALLOWANCE, "a-1"), unit) == granted - fit * each
        assert len(books.holds.open_ones()) == fit
    assert violations(raw) == {}
    stores[1].close()


def test_of_many_that_resolve_a_hold_one_does(stores: list[SqlStore]) -> None:
    with stores[0].writing() as books:
        books.allowances.add(allowance(1))
        books.holds.open([a_hold(10)])

    def resolve(number: int) -> None:
        with stores[number % 2].writing() as books:
            books.holds.resolve([a_hold(10).id], Instant(number))

    ends = race(16, resolve)
    assert sum(end is None for end in ends) == 1
    assert {type(end) for end in ends if end is not None} == {Conflict}
    stores[1].close()


def test_a_posting_that_many_repeat_is_posted_once(stores: list[SqlStore], raw: Connection) -> None:
    awarded = allowance(100)
    with stores[0].writing() as books:
        books.allowances.add(awarded)

    def repeat(number: int) -> None:
        with stores[number % 2].writing() as books:
            books.journal.post([grant(awarded, actor="e-9")], Instant(0))

    assert race(16, repeat) == [None] * 16
    with stores[0].reading() as books:
        assert books.journal.balance(Account(AccountKind.ALLOWANCE, "a-1")) == 100
        assert len(list(books.journal.entries())) == 2
    assert violations(raw) == {}
    stores[1].close()


def test_readers_see_whole_transactions_only(stores: list[SqlStore]) -> None:
    awarded = allowance(1_000)
    with stores[0].writing() as books:
        books.allowances.add(awarded)
        books.journal.post([grant(awarded, actor="e-9")], Instant(0))

    def run(number: int) -> None:
        if number % 2:
            made = a_hold(10, name=str(number))
            with stores[0].writing() as books:
                books.journal.post(hold([made]), Instant(1))
        else:
            with stores[1].reading() as books:
                left = books.journal.balance(Account(AccountKind.ALLOWANCE, "a-1"))
                assert left + books.journal.balance(Account(AccountKind.HELD, "a-1")) == 1_000

    assert race(24, run) == [None] * 24
    stores[1].close()


def wait_until_waiting(lock: FairLock, count: int) -> None:
    deadline = monotonic() + PATIENT_SECONDS
    while lock.waiting != count:
        assert monotonic() < deadline, f"{lock.waiting} wait, not {count}"
        sleep(0.001)


def test_a_lock_serves_in_the_order_of_asking() -> None:
    lock = FairLock()
    served: list[int] = []

    def ask(number: int) -> None:
        with lock.held(PATIENT_SECONDS):
            served.append(number)

    threads = [Thread(target=ask, args=(number,)) for number in range(10)]
    with lock.held(1):
        for waiting, thread in enumerate(threads, start=1):
            thread.start()
            wait_until_waiting(lock, waiting)
    for thread in threads:
        thread.join()
    assert served == list(range(10))


def test_who_gives_up_waiting_leaves_the_line() -> None:
    lock = FairLock()
    refused: list[RefusalCode] = []

    def ask() -> None:
        try:
            with lock.held(0.01):
                pass
        except Unavailable as error:
            refused.append(error.code)

    with lock.held(1):
        thread = Thread(target=ask)
        thread.start()
        thread.join()
        assert (refused, lock.waiting) == ([RefusalCode.DATABASE_LOCKED], 0)
    with lock.held(0.01):
        pass


def test_what_is_being_written_when_the_store_is_closed_is_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/allot.db"
    store = open_migrated(url)
    closing = Thread(target=store.close)
    with store.writing() as books:
        closing.start()
        wait_until_waiting(store._turn, 1)
        books.control.put_setting("said", "in the last moment")
    closing.join()
    again = open_migrated(url)
    with again.reading() as books:
        assert books.control.setting("said") == "in the last moment"
    again.close()
