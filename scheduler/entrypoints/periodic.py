"""What is done every so often beside the cycle: grant, keep, reclaim, count, prune, publish. One transaction each."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.entrypoints.heads import seconds_between_heads
from scheduler.entrypoints.loops import Loops
from scheduler.entrypoints.settings import Settings
from scheduler.lifecycle.accounting.publish import Publisher
from scheduler.lifecycle.awarding.compensate import vest_due
from scheduler.lifecycle.awarding.draw_tokens import release_overdue
from scheduler.lifecycle.awarding.periodic import grant_period, periods_due
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.gpu_faults import FaultsJudged, judge_gpu_faults
from scheduler.lifecycle.running.keep import Kept, keep_funded
from scheduler.lifecycle.sensing.census import Census
from scheduler.lifecycle.sensing.reclaim import IdleReclaim, Reclaimed
from scheduler.lifecycle.turning import is_heard, turn_due
from scheduler.lifecycle.writing.batch import changing
from scheduler.ports import Clock, Ids, Store

log = logging.getLogger(__name__)

GRANT_AHEAD_MS = MS_PER_HOUR
"""A period's grants are made so long before it starts: a late loop stops nobody at the turn of a month."""


@dataclass(frozen=True, slots=True)
class Periodic:
    """The periodic work of one process. `wake` has the cycle look at what it changed. Without a policy nothing is due."""

    settings: Settings
    store: Store
    world: World
    clock: Clock
    ids: Ids
    idle_reclaim: IdleReclaim
    census: Census
    publisher: Publisher | None
    wake: Callable[[], None]

    def run_on(self, loops: Loops) -> None:
        """Add it to the loops, with deadlines that a few slow rounds keep."""
        period = self.settings.period_seconds
        loops.every("grant", period, self.grant, deadline_seconds=10 * period + 60)
        loops.every("keep", period, self._keep, deadline_seconds=10 * period + 60)
        loops.every("faults", period, self._judge, deadline_seconds=10 * period + 60)
        loops.every("reclaim", period, self._reclaim, deadline_seconds=10 * period + 60)
        loops.every("census", period, self._count, deadline_seconds=10 * period + 60)
        loops.every("prune", 10 * period, self._prune, deadline_seconds=100 * period + 60)
        if self.publisher is not None:
            between = seconds_between_heads(self.settings)
            loops.every("heads", between, self._publish, deadline_seconds=3 * between + 60)

    async def grant(self) -> None:
        """What a period's start, vesting and expiry bring. Repeating it is harmless."""
        if self.world.policy is not None:
            await asyncio.to_thread(self._grant_now, self.clock.now())

    def _grant_now(self, now: Instant) -> None:
        released = self._release_tokens(now)  # before what expires, which what comes back does with the rest
        made = self._grant_periods(now)
        with changing(self.store, self.world, now) as batch:
            vested = vest_due(batch)
        expired = turn_due(self.store, self.world, now, renews=self._renews) if self._is_heard(now) else 0
        if made or vested or released or expired:
            said = "granted %d allowances, vested %d parts, released %d holds of tokens, expired %d"
            log.info(said, made, vested, released, expired)
            self.wake()

    def _grant_periods(self, now: Instant) -> int:
        """Those that nobody was there to grant, too: one transaction each."""
        with changing(self.store, self.world, now) as batch:
            periods = periods_due(batch, GRANT_AHEAD_MS)
        made = 0
        for period in periods:
            with changing(self.store, self.world, now) as batch:
                made += grant_period(batch, period)
        self.world.rounds.granted_at = min(now, periods[-1].ends_at)
        return made

    @property
    def _renews(self) -> bool:
        return not self.settings.observe

    def _is_heard(self, now: Instant) -> bool:
        return self.clock.is_simulated or self.settings.observe or is_heard(self.world, now)

    def _release_tokens(self, now: Instant) -> int:
        """All that is overdue, in transactions of bounded size."""
        released = 0
        while True:
            with changing(self.store, self.world, now) as batch:
                some = release_overdue(batch)
            if not some:
                return released
            released += some

    async def _keep(self) -> None:
        if self.world.policy is not None and self._renews and self._is_heard(self.clock.now()):
            kept = await asyncio.to_thread(self._keep_now, self.clock.now())
            if kept.exhausted:
                self.wake()

    def _keep_now(self, now: Instant) -> Kept:
        with changing(self.store, self.world, now) as batch:
            return keep_funded(batch)

    async def _judge(self) -> None:
        """What failed with its GPU, as far as windows have told by now."""
        if self.world.policy is not None and not self.settings.observe:
            judged = await asyncio.to_thread(self._judge_now, self.clock.now())
            if judged.ended:
                log.info("attempts that failed with their GPU: %s", ", ".join(judged.ended))
                self.wake()

    def _judge_now(self, now: Instant) -> FaultsJudged:
        with changing(self.store, self.world, now) as batch:
            return judge_gpu_faults(batch)

    async def _reclaim(self) -> None:
        if self.world.policy is not None:
            reclaimed = await asyncio.to_thread(self._reclaim_now, self.clock.now())
            if reclaimed.stopped:
                log.info("suspended or ended %d idle attempts, warned %d", reclaimed.stopped, reclaimed.warned)
                self.wake()

    def _reclaim_now(self, now: Instant) -> Reclaimed:
        with changing(self.store, self.world, now) as batch:
            return self.idle_reclaim.run(batch)

    async def _count(self) -> None:
        """Once the cluster was seen: before that, every node would look as if it had gone."""
        if self.world.nodes:
            await asyncio.to_thread(self.census.run, self.clock.now())

    async def _prune(self) -> None:
        if self.world.policy is not None:
            await asyncio.to_thread(self._prune_now, self.clock.now())

    def _prune_now(self, now: Instant) -> None:
        """Drop readings that are older than policy keeps, some devices at a time."""
        retention = self.world.require_policy().retention
        with self.store.writing() as books:
            books.samples.prune(Instant(now - retention.windows_ms), Instant(now - retention.hours_ms))
            books.gpu_faults.prune(Instant(now - retention.hours_ms))

    async def _publish(self) -> None:
        if self.publisher is not None:
            await asyncio.to_thread(self.publisher.publish)
