"""The service: the parts of one process, wired together and run."""

import asyncio
import logging

from scheduler.domain.periods import period_at
from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.entrypoints.collecting import open_collecting
from scheduler.entrypoints.file_readers import READERS
from scheduler.entrypoints.heads import seconds_between_heads
from scheduler.entrypoints.loops import Loops
from scheduler.entrypoints.notifying import NotifyingLoop, open_notifying
from scheduler.entrypoints.settings import Settings
from scheduler.entrypoints.simulated import Simulation
from scheduler.lifecycle.accounting.close_period import Periods
from scheduler.lifecycle.accounting.price import Pricing
from scheduler.lifecycle.accounting.publish import Publisher
from scheduler.lifecycle.approvals.approve import Approvals
from scheduler.lifecycle.approvals.propose import Proposals
from scheduler.lifecycle.asking.wanted import Exemptions
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.awarding.compensate import vest_due
from scheduler.lifecycle.awarding.cover import Coverages
from scheduler.lifecycle.awarding.expire import expire_due
from scheduler.lifecycle.awarding.grant import grant_period
from scheduler.lifecycle.commands import Commands
from scheduler.lifecycle.cycle import Cycle, CycleReport
from scheduler.lifecycle.governance.access import Access
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.keep import Kept, keep_funded
from scheduler.lifecycle.sensing.census import Census
from scheduler.lifecycle.sensing.meter import Meter
from scheduler.lifecycle.sensing.reclaim import IdleReclaim, Reclaimed
from scheduler.lifecycle.views.approvals import ApprovalViews
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.writing.batch import changing
from scheduler.ports import Clock, Cluster, Ids, Store

log = logging.getLogger(__name__)

GRANT_AHEAD_MS = MS_PER_HOUR
"""A period's grants are made so long before it starts: a late loop stops nobody at the turn of a month."""

OBSERVED_LOGGED_MAX = 50
"""Lines in the log for what one cycle would have done: a first look at a large cluster finds thousands."""


class Service:
    """Everything one process needs. `start` and `close` belong to the event loop that they are called on."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        clock: Clock,
        cluster: Cluster,
        ids: Ids,
        simulation: Simulation | None = None,
        publisher: Publisher | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.cluster = cluster
        self.ids = ids
        self.simulation = simulation
        self.publisher = publisher
        self.world = World()
        self.commands = Commands(store, self.world, ids, namespace=settings.namespace)
        self.pricing = Pricing(store, self.world)
        self.coverages = Coverages(store, self.world)
        self.proposals = Proposals(store, self.world, ids, self.commands, self.pricing)
        self.approvals = Approvals(store, self.world, ids, self.commands, READERS)
        self.approval_views = ApprovalViews(store, self.world, READERS)
        self.meter = Meter(store, self.world)
        self.exemptions = Exemptions(store, self.world)
        self.census = Census(store, self.world, clock.now())
        self.idle_reclaim = IdleReclaim(self.world, acts=not settings.observe)
        self.access = Access(store, self.world)
        self.awards = Awards(store, self.world, ids)
        self.periods = Periods(store, self.world)
        self.money = MoneyViews(store, self.world, READERS.policy)
        self.views = Views(store, self.world, is_simulated=cluster.is_simulated)
        self.cycle = Cycle(store, self.world, cluster, clock, ids, self.commands, acts=not settings.observe)
        self.views.state = self.cycle.state
        self.collecting = open_collecting(settings, store, self.meter, clock)
        self.notifying: NotifyingLoop | None = None
        self.loops = Loops(clock)
        self.last_report: CycleReport | None = None
        self.cycle.report = self._note_cycle
        self._ticked = asyncio.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_cluster_started = False

    # --- running -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the loops; a cluster that cannot be reached yet is tried again, and said so."""
        self._loop = asyncio.get_running_loop()
        self.commands.wake = self.wake
        if self.world.policy is not None:
            self.cluster.use_gpu_classes(self.world.policy.gpu_classes)
        period = self.settings.period_seconds
        self.loops.for_ever("watch", self._watch, deadline_seconds=60)
        self.loops.for_ever("cycle", self.cycle.run_once, deadline_seconds=30)
        self.loops.every("grant", period, self._grant, deadline_seconds=10 * period + 60)
        self.loops.every("keep", period, self._keep, deadline_seconds=10 * period + 60)
        self.loops.every("reclaim", period, self._reclaim, deadline_seconds=10 * period + 60)
        self.loops.every("census", period, self._count, deadline_seconds=10 * period + 60)
        self.loops.every("prune", 10 * period, self._prune, deadline_seconds=100 * period + 60)
        if self.publisher is not None:
            between = seconds_between_heads(self.settings)
            self.loops.every("heads", between, self._publish, deadline_seconds=3 * between + 60)
        if self.collecting is not None:
            between = self.collecting.period_seconds
            self.loops.every("collect", between, self.collecting.run_once, deadline_seconds=10 * between + 60)
        self.notifying = open_notifying(
            self.settings,
            self.clock,
            self.store,
            self.world,
            self.meter.strangers,
            is_simulated=self.cluster.is_simulated,
        )
        if self.notifying is not None:
            self.loops.every("notify", period, self.notifying.run_once, deadline_seconds=10 * period + 60)
        if self.simulation is not None:
            self.simulation.run_on(self.loops, self.world, self.commands, self.meter, self.settings)
        await self._grant()
        self.loops.start()

    async def close(self) -> None:
        """Stop the loops, wait for calls under way, and leave everything as the next start finds it."""
        await self.loops.stop()
        if self.notifying is not None:
            self.notifying.close()
        await self.cycle.drain()
        if self.simulation is not None:
            await asyncio.to_thread(self.simulation.put, self.simulation.export())
        await self.cluster.close()
        self.store.close()

    def wake(self) -> None:
        """Have the cycle look at what changed. Safe from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.cycle.wake)

    # --- what pages wait on --------------------------------------------------------------------------------------

    @property
    def tick(self) -> int:
        """Grows when something visible changed."""
        return self.world.tick

    async def wait_for_tick(self, after: int, timeout_seconds: float) -> int:
        """The tick once it is greater than `after`, or what it is when the time is over."""
        async with self._ticked:
            try:
                async with asyncio.timeout(timeout_seconds):
                    await self._ticked.wait_for(lambda: self.tick > after)
            except TimeoutError:
                return self.tick
        return self.tick

    # --- the loops' work -----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Reach the cluster, then bring in what it reports. Returns so that the loop counts as alive."""
        if not self._is_cluster_started:
            await self.cluster.start()
            self._is_cluster_started = True
        policy = self.world.policy
        if policy is not None:
            self.cluster.use_gpu_classes(policy.gpu_classes)
        await self.cycle.watch_once()

    async def _grant(self) -> None:
        if self.world.policy is not None:
            await asyncio.to_thread(self._grant_now, self.clock.now())

    def _grant_now(self, now: Instant) -> None:
        policy = self.world.require_policy()
        periods = {period_at(Instant(now + ahead), policy.period, policy.time_zone) for ahead in (0, GRANT_AHEAD_MS)}
        with changing(self.store, self.world, now) as batch:
            made = sum(grant_period(batch, period) for period in sorted(periods, key=lambda p: p.starts_at))
            vested = vest_due(batch)
            expired = expire_due(batch)
        if made or vested or expired:
            log.info("granted %d allowances, vested %d parts, expired %d", made, vested, expired)
            self.wake()

    async def _keep(self) -> None:
        if self.world.policy is not None and not self.settings.observe:
            kept = await asyncio.to_thread(self._keep_now, self.clock.now())
            if kept.exhausted:
                self.wake()

    def _keep_now(self, now: Instant) -> Kept:
        with changing(self.store, self.world, now) as batch:
            return keep_funded(batch, self.ids.new)

    async def _reclaim(self) -> None:
        if self.world.policy is not None:
            reclaimed = await asyncio.to_thread(self._reclaim_now, self.clock.now())
            if reclaimed.stopped:
                log.info("suspended or ended %d idle attempts, warned %d", reclaimed.stopped, reclaimed.warned)
                self.wake()

    def _reclaim_now(self, now: Instant) -> Reclaimed:
        with changing(self.store, self.world, now) as batch:
            return self.idle_reclaim.run(batch)

    async def _publish(self) -> None:
        if self.publisher is not None:
            await asyncio.to_thread(self.publisher.publish)

    async def _count(self) -> None:
        """Once the cluster was seen: before that, every node would look as if it had gone."""
        if self._is_cluster_started and self.world.nodes:
            await asyncio.to_thread(self.census.run, self.clock.now())

    async def _prune(self) -> None:
        if self.world.policy is not None:
            await asyncio.to_thread(self._prune_now, self.clock.now())

    def _prune_now(self, now: Instant) -> None:
        """Drop readings that are older than policy keeps, some devices at a time."""
        retention = self.world.require_policy().retention
        with self.store.writing() as books:
            books.samples.prune(Instant(now - retention.windows_ms), Instant(now - retention.hours_ms))

    def _note_cycle(self, report: CycleReport) -> None:
        self.last_report = report
        for item in report.observed[:OBSERVED_LOGGED_MAX]:
            log.info("observing only: %s %s: %s", item.would.value, item.workload_id, item.sentence)
        if len(report.observed) > OBSERVED_LOGGED_MAX:
            log.info("observing only: and %d more, at /v1/observed", len(report.observed) - OBSERVED_LOGGED_MAX)
        self.views.state = self.cycle.state
        if self._loop is not None:
            self._loop.create_task(self._announce())

    async def _announce(self) -> None:
        async with self._ticked:
            self._ticked.notify_all()
