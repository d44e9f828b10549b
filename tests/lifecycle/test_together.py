"""Group commit: one transaction for those who ask at the same time, and each told what came of theirs."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from scheduler.domain.errors import Conflict, Exhausted, Refusal, RefusalCode, Unavailable
from scheduler.domain.policy import Limits
from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.lifecycle.writing.batch import Batch
from scheduler.lifecycle.writing.together import AT_ONCE, Together
from tests.lifecycle.build import NOON, Company, policy

DEADLINE_SECONDS = 60.0


class Door:
    """Opens one transaction at a time, once it is let; counts those that were committed."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.is_open = threading.Event()
        self.commits = 0
        self.error: Exception | None = None

    @contextmanager
    def opened(self, now: Instant) -> Iterator[Batch]:
        assert now == NOON
        assert self.is_open.wait(DEADLINE_SECONDS)
        with self.company.changing() as batch:
            yield batch
            if self.error is not None:
                raise self.error
        self.commits += 1


class Group:
    """Several threads that ask at the same time."""

    def __init__(self, door: Door) -> None:
        self.together: Together[str, Batch] = Together(door.opened)
        self.door = door
        self.pool = ThreadPoolExecutor(2 * AT_ONCE)

    def ask(self, *works: Callable[[Batch], str]) -> list[Future[str]]:
        """Every one of them waits before the door is opened."""
        asked = self.send(*works)
        self.door.is_open.set()
        return asked

    def send(self, *works: Callable[[Batch], str]) -> list[Future[str]]:
        """They wait at the door."""
        asked = [self.pool.submit(self.together.run, work, NOON) for work in works]
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(self.together._waiting) < len(works):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return asked


@pytest.fixture
def group() -> Iterator[Group]:
    company = Company()
    made = Group(Door(company))
    yield made
    made.pool.shutdown()
    company.close()


def test_a_burst_costs_one_commit_and_each_gets_its_own_answer(group: Group) -> None:
    asked = group.ask(*(_answer(str(number)) for number in range(20)))
    assert sorted(future.result() for future in asked) == sorted(map(str, range(20)))
    assert group.door.commits == 1


def test_what_is_refused_spoils_no_other(group: Group) -> None:
    fine, refused, also_fine = group.ask(_answer("one"), _refuse, _answer("three"))
    assert (fine.result(), also_fine.result()) == ("one", "three")
    with pytest.raises(Conflict):
        refused.result()
    assert group.door.commits == 1


def test_a_commit_that_fails_is_told_to_all_and_the_next_goes_on(group: Group) -> None:
    group.door.error = Unavailable("the disk is full", code=RefusalCode.DATABASE_FULL)
    for future in group.ask(_answer("one"), _answer("two")):
        with pytest.raises(Unavailable):
            future.result()
    group.door.error = None
    assert group.together.run(_answer("three"), NOON) == "three"


def test_a_mistake_of_ours_rolls_all_back_and_leaves_nobody_waiting(group: Group) -> None:
    outcomes = group.ask(_answer("one"), _fail, _answer("three"))
    assert [type(future.exception(DEADLINE_SECONDS)) for future in outcomes] == [ZeroDivisionError] * 3
    assert group.door.commits == 0


def test_work_that_nobody_waits_for_lets_those_go_first_who_are_under_way(group: Group) -> None:
    group.together.give_way(DEADLINE_SECONDS)  # nobody is: it does not wait
    (asked,) = group.send(_answer("one"))
    group.together.give_way(0.001)  # not for longer than it was told to
    assert not asked.done()
    group.door.is_open.set()
    group.together.give_way(DEADLINE_SECONDS)
    assert group.door.commits == 1


def test_a_crowd_is_served_in_groups_of_a_stated_size(group: Group) -> None:
    asked = group.ask(*(_answer(str(number)) for number in range(AT_ONCE + 5)))
    assert len({future.result() for future in asked}) == AT_ONCE + 5
    assert group.door.commits == 2


def test_submissions_of_one_moment_share_a_commit_and_the_limit_counts_them_all() -> None:
    company = Company(replace(policy(), limits=Limits(queued_per_engineer=5)))
    company.grant("ada", 100)
    with ThreadPoolExecutor(8) as pool, company.world.writer:
        asked = [pool.submit(company.submit, "ada", name=f"job {number}") for number in range(8)]
        deadline = time.monotonic() + DEADLINE_SECONDS
        while len(company.commands._submissions._waiting) < 8:
            assert time.monotonic() < deadline
            time.sleep(0.001)
    refused = [future.exception() for future in asked if future.exception() is not None]
    assert [error.code for error in refused if isinstance(error, Exhausted)] == [RefusalCode.QUEUE_FULL] * 3
    with company.store.reading() as books:
        assert books.workloads.count() == 5
    company.close()


def _answer(text: str) -> Callable[[Batch], str]:
    return lambda _: text


def _refuse(_: Batch) -> str:
    raise Conflict("no", code=RefusalCode.STALE)


def _fail(_: Batch) -> str:
    return str(MS_PER_HOUR // 0)


def test_a_refusal_raised_alone_is_the_callers_own(group: Group) -> None:
    group.door.is_open.set()
    with pytest.raises(Refusal):
        group.together.run(_refuse, NOON)
