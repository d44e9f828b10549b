"""Loops: each on its own, none stopped by another that fails or hangs, each with a health that says how it does."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable

import pytest

from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.entrypoints.loops import LoopHealth, Loops, first_delay_seconds
from tests.entrypoints.company import NOON, HandClock

OFTEN = 0.01
DEADLINE_SECONDS = 120.0


@pytest.fixture
async def loops() -> AsyncIterator[Loops]:
    made = Loops(HandClock(), last_round_seconds=OFTEN)
    yield made
    await made.stop()


async def nothing() -> None:
    await asyncio.sleep(OFTEN)


async def hanging() -> None:
    await asyncio.Event().wait()


async def failing() -> None:
    raise ValueError("a mistake of ours")


async def refused() -> None:
    raise Unavailable("the database is locked", code=RefusalCode.DATABASE_LOCKED)


async def until(loops: Loops, name: str, is_there: Callable[[LoopHealth], bool]) -> LoopHealth:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not is_there(health := loops.health()[name]):
            await asyncio.sleep(OFTEN)
    return health


async def test_a_loop_that_fails_and_one_that_hangs_stop_no_other(loops: Loops) -> None:
    loops.every("failing", OFTEN, failing, deadline_seconds=60)
    loops.every("hanging", OFTEN, hanging, deadline_seconds=60)
    loops.every("well", OFTEN, nothing, deadline_seconds=60)
    loops.for_ever("cycle", nothing, deadline_seconds=60)
    loops.start()
    assert (await until(loops, "well", lambda health: health.runs > 3)).last_success_at == NOON
    assert (await until(loops, "cycle", lambda health: health.runs > 3)).failures == 0
    failed = await until(loops, "failing", lambda health: health.failures > 1)
    assert (failed.last_error, failed.last_success_at) == ("ValueError: a mistake of ours", None)
    assert loops.health()["hanging"].runs == 0


async def test_a_loop_is_late_when_it_has_not_succeeded_for_as_long_as_its_deadline(loops: Loops) -> None:
    loops.for_ever("hanging", hanging, deadline_seconds=OFTEN)
    loops.for_ever("failing", failing, deadline_seconds=OFTEN)
    loops.for_ever("well", nothing, deadline_seconds=DEADLINE_SECONDS)
    loops.start()
    await until(loops, "hanging", lambda health: health.is_late)
    await until(loops, "failing", lambda health: health.is_late)
    assert not loops.health()["well"].is_late


async def test_a_refusal_is_one_line_in_the_log_and_a_mistake_its_trace(
    loops: Loops, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "scheduler.entrypoints.loops")
    loops.every("refused", OFTEN, refused, deadline_seconds=60)
    loops.every("failing", OFTEN, failing, deadline_seconds=60)
    loops.start()
    await until(loops, "refused", lambda health: health.failures > 0)
    await until(loops, "failing", lambda health: health.failures > 0)
    ours = [record for record in caplog.records if record.name == "scheduler.entrypoints.loops"]
    told = {record.getMessage(): record.exc_info is not None for record in ours}
    assert told == {"refused: the database is locked (database-locked)": False, "the loop failing failed": True}


async def test_a_round_that_is_under_way_at_the_end_is_finished_and_none_begins_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loops = Loops(HandClock())
    began, may_end, ended = asyncio.Event(), asyncio.Event(), []

    async def slow() -> None:
        began.set()
        await may_end.wait()
        ended.append(True)

    loops.every("slow", OFTEN, slow, deadline_seconds=60)
    loops.start()
    await began.wait()
    stopping = asyncio.create_task(loops.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    may_end.set()
    await stopping
    assert ended == [True]
    assert loops.health()["slow"].runs == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_loops_of_one_period_do_not_come_due_together() -> None:
    delays = sorted(first_delay_seconds(number, 10.0) for number in range(12))
    assert all(later - sooner > 0.5 for sooner, later in itertools.pairwise(delays))
    assert delays[-1] < 10.0
