"""Waiting for something that a real process does: by looking again and again, until a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Seen = TypeVar("Seen")


async def eventually(
    look: Callable[[], Awaitable[Seen]], accept: Callable[[Seen], bool], limit_seconds: float = 20.0
) -> Seen:
    """What was seen when it was acceptable; fails with what was seen last when it never was."""
    deadline = time.monotonic() + limit_seconds
    while not accept(seen := await look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_seconds:.0f} s; seen last: {seen!r}")
        await asyncio.sleep(0.05)
    return seen
