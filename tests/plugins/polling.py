"""Waiting for something that a real process does: by looking again and again, until a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Seen = TypeVar("Seen")

DEADLINE_SECONDS = 120.0
"""Many times what anything takes on a quiet machine: on a busy one a test is late, not wrong."""


async def eventually(
    look: Callable[[], Awaitable[Seen]], accept: Callable[[Seen], bool], limit_seconds: float = DEADLINE_SECONDS
) -> Seen:
    """What was seen when it was acceptable; fails with what was seen last when it never was."""
    deadline = time.monotonic() + limit_seconds
    while not accept(seen := await look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_seconds:.0f} s; seen last: {seen!r}")
        await asyncio.sleep(0.05)
    return seen
