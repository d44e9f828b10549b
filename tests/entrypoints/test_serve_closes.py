"""Ctrl-C: the service is closed to the end, though the signal is raised once more while it closes."""

import asyncio

import pytest

from scheduler.entrypoints.cli.server import to_its_end


async def test_closing_goes_to_its_end_though_it_is_cancelled_meanwhile() -> None:
    steps: list[str] = []
    may_go_on = asyncio.Event()

    async def close() -> None:
        steps.append("begun")
        await may_go_on.wait()
        steps.append("done")

    closing = asyncio.create_task(to_its_end(close()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.sleep(0)
    assert steps == ["begun"]
    may_go_on.set()
    await closing
    assert steps == ["begun", "done"]


async def test_a_failure_to_close_is_not_lost() -> None:
    async def close() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await to_its_end(close())
