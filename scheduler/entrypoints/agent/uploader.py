"""Empties the spool into the API, oldest first, and tells it of the inventory.

A window leaves the spool only when the API has answered for it. What the API calls malformed is looked for by
halves, so that one bad window never blocks the good ones behind it.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any

from scheduler.adapters.window_spool import Spooled, WindowSpool
from scheduler.entrypoints.agent.api import Answer, ApiClient, Verdict
from scheduler.entrypoints.agent.settings import AgentSettings

logger = logging.getLogger("allot.agent")

RETRY_MS_MIN = 500


class Uploader:
    """`inventory` gives the body to PUT; None while there is nothing to say yet."""

    def __init__(
        self,
        settings: AgentSettings,
        api: ApiClient,
        spool: WindowSpool,
        inventory: Callable[[], dict[str, Any] | None],
    ) -> None:
        self._settings = settings
        self._api = api
        self._spool = spool
        self._inventory = inventory
        self._wake = asyncio.Event()
        self._told_at: float | None = None
        self._failures = 0

    def wake(self, *, has_new_inventory: bool = False) -> None:
        """There is something to send."""
        if has_new_inventory:
            self._told_at = None
        self._wake.set()

    async def run(self) -> None:
        """For ever: on every wake, and at least as often as the inventory is due."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.inventory_ms / 1_000):
                    await self._wake.wait()
            self._wake.clear()
            answer = await self.send_all()
            if answer.verdict is not Verdict.TAKEN:
                await self._wait_out(answer)

    async def send_all(self) -> Answer:
        """Everything there is. The answer is TAKEN, or the first that asks for patience."""
        answer = await self._tell_inventory()
        while answer.verdict is Verdict.TAKEN:
            boot_id, batch = self._spool.oldest(self._settings.batch_windows_max)
            if not batch:
                break
            answer = await self._send(boot_id, batch)
        return answer

    async def _tell_inventory(self) -> Answer:
        now = asyncio.get_running_loop().time()
        is_due = self._told_at is None or now - self._told_at >= self._settings.inventory_ms / 1_000
        body = self._inventory() if is_due else None
        if body is None:
            return Answer(Verdict.TAKEN)
        answer = await self._api.put_inventory(body)
        self._told_at = now if answer.verdict is Verdict.TAKEN else None
        return answer

    async def _send(self, boot_id: str, batch: Sequence[Spooled]) -> Answer:
        answer = await self._api.post_windows(boot_id, [each.body for each in batch])
        if answer.verdict is Verdict.TAKEN:
            self._failures = 0
            self._spool.remove(batch, refused=answer.refused)
            return answer
        if answer.verdict is Verdict.UNKNOWN_NODE:
            self._told_at = None
            return answer
        if answer.verdict is Verdict.AWAY:
            return answer
        if len(batch) == 1:
            logger.error("the API refused a window for good: %s", answer.detail)
            self._spool.remove(batch, refused=1)
            return Answer(Verdict.TAKEN)
        half = len(batch) // 2
        first = await self._send(boot_id, batch[:half])
        return first if first.verdict is not Verdict.TAKEN else await self._send(boot_id, batch[half:])

    async def _wait_out(self, answer: Answer) -> None:
        """Longer with every failure, and never all nodes at once when the API comes back."""
        self._failures += 1
        ceiling_ms = min(RETRY_MS_MIN * 2 ** min(self._failures, 16), self._settings.retry_ms_max)
        seconds = random.uniform(ceiling_ms / 2, ceiling_ms) / 1_000  # noqa: S311  # spreads load, guards nothing
        if answer.retry_after_seconds is not None:
            seconds = max(seconds, min(answer.retry_after_seconds, self._settings.retry_ms_max / 1_000))
        logger.warning("the API did not take what was sent (%s): again in %.1f s", answer.detail, seconds)
        await asyncio.sleep(seconds)
        self._wake.set()
