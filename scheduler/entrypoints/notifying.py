"""Notices brought to the company's own address, as a loop of the service."""

import asyncio
from collections import deque

from scheduler.adapters.webhook import Webhook
from scheduler.entrypoints.settings import Settings
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.sensing.burning import BurnAlerts
from scheduler.lifecycle.sensing.notices import Notice, Notices
from scheduler.lifecycle.sensing.strangers import Strangers
from scheduler.ports import Clock, Store

WAITING_MAX = 1_000
"""Notices that wait for an address that is away; then the oldest go, which pages and Events have all the same."""


class NotifyingLoop:
    """One at a time and in order; what was not taken is brought again in the next round."""

    def __init__(self, clock: Clock, notices: Notices, webhook: Webhook, burning: BurnAlerts | None = None) -> None:
        self._clock = clock
        self._burning = burning
        self._notices = notices
        self._webhook = webhook
        self._waiting: deque[Notice] = deque(maxlen=WAITING_MAX)

    async def run_once(self) -> None:
        now = self._clock.now()
        self._waiting.extend(self._notices.due(now))
        if self._burning is not None:
            self._waiting.extend(await asyncio.to_thread(self._burning.due, now))
        while self._waiting:
            await asyncio.to_thread(self._webhook.bring, self._waiting[0])
            taken = self._waiting.popleft()
            if self._burning is not None:
                await asyncio.to_thread(self._burning.keep, taken, now)

    def close(self) -> None:
        self._webhook.close()


def open_notifying(
    settings: Settings, clock: Clock, store: Store, world: World, strangers: Strangers, *, is_simulated: bool
) -> NotifyingLoop | None:
    """None where no address is given."""
    if settings.notify is None:
        return None
    webhook = Webhook(settings.notify, is_simulated=is_simulated)
    return NotifyingLoop(clock, Notices(world, strangers), webhook, BurnAlerts(store, world))
