"""A batch of actions carried out side by side, by as many workers as there are connections."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from scheduler.adapters.kubernetes.backoff import Backoff, Jitter
from scheduler.adapters.kubernetes.writing import Writer
from scheduler.domain.actions import Action, ActionOutcome, ActionResult
from scheduler.domain.errors import Unavailable

_TRIES: Final = 3
"""A connection that the server closed while it was idle fails the first request over it, and only that."""


class Batch:
    """Once the API is found silent, what was not yet begun is answered RETRY without asking: the next cycle asks."""

    def __init__(self, writer: Writer, actions: Sequence[Action], jitter: Jitter) -> None:
        self._writer = writer
        self._actions = actions
        self._jitter = jitter
        self._silence = ""
        self._outcomes: dict[int, ActionOutcome] = {}

    async def carry_out(self, workers: int) -> list[ActionOutcome]:
        """The outcomes, in the order of the actions."""
        remaining = iter(enumerate(self._actions))
        await asyncio.gather(*(self._work(remaining) for _ in range(min(workers, len(self._actions)))))
        return [self._outcomes[index] for index in range(len(self._actions))]

    async def _work(self, remaining: Iterator[tuple[int, Action]]) -> None:
        for index, action in remaining:
            if self._silence:
                self._outcomes[index] = ActionOutcome(action, ActionResult.RETRY, self._silence)
            else:
                self._outcomes[index] = await self._try(action)

    async def _try(self, action: Action) -> ActionOutcome:
        backoff = Backoff(self._jitter, first_seconds=0.05)
        for attempt in range(1, _TRIES + 1):
            try:
                return await self._writer.carry_out(action)
            except Unavailable as error:
                message = error.message
            if attempt < _TRIES and not self._silence:
                await asyncio.sleep(backoff.failed())
        self._silence = message
        return ActionOutcome(action, ActionResult.RETRY, message)
