"""What runs in one process: the parts of the service, wired together, started and closed."""

import asyncio
import logging

from scheduler.entrypoints.collecting import open_collecting
from scheduler.entrypoints.file_readers import READERS
from scheduler.entrypoints.loops import Loops
from scheduler.entrypoints.notifying import NotifyingLoop, open_notifying
from scheduler.entrypoints.periodic import Periodic
from scheduler.entrypoints.settings import Settings
from scheduler.entrypoints.simulated import Simulation
from scheduler.lifecycle.accounting.close_period import Periods
from scheduler.lifecycle.accounting.price import Pricing
from scheduler.lifecycle.accounting.publish import Publisher
from scheduler.lifecycle.administration import Administration
from scheduler.lifecycle.approvals.approve import Approvals
from scheduler.lifecycle.approvals.paying import Payments
from scheduler.lifecycle.approvals.propose import Proposals
from scheduler.lifecycle.approvals.rights import RightsProposals
from scheduler.lifecycle.asking.wanted import Exemptions
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.awarding.cover import Coverages
from scheduler.lifecycle.awarding.draw_tokens import TokenDraws
from scheduler.lifecycle.commands import Commands
from scheduler.lifecycle.cycle import Cycle, CycleReport
from scheduler.lifecycle.governance.access import Access
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.sensing.census import Census
from scheduler.lifecycle.sensing.meter import Meter
from scheduler.lifecycle.sensing.reclaim import IdleReclaim
from scheduler.lifecycle.views.approvals import ApprovalViews
from scheduler.lifecycle.views.gpu_faults import FaultViews
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views
from scheduler.ports import Clock, Cluster, Ids, Store

log = logging.getLogger(__name__)

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
        self.commands = Commands(store, self.world, ids, namespace=settings.namespace, wake=self.wake)
        self.administration = Administration(store, self.world, ids, self.wake)
        self.pricing = Pricing(store, self.world)
        self.coverages = Coverages(store, self.world)
        self.proposals = Proposals(store, self.world, ids, self.commands, self.administration, self.pricing)
        self.rights = RightsProposals(store, self.world, ids, self.administration)
        self.payments = Payments(store, self.world, ids)
        self.approvals = Approvals(store, self.world, ids, READERS, self.wake)
        self.approval_views = ApprovalViews(store, self.world, READERS)
        self.meter = Meter(store, self.world)
        self.exemptions = Exemptions(store, self.world)
        self.census = Census(store, self.world, clock.now())
        self.idle_reclaim = IdleReclaim(self.world, acts=not settings.observe)
        self.access = Access(store, self.world)
        self.awards = Awards(store, self.world, ids)
        self.token_draws = TokenDraws(store, self.world, ids)
        self.periods = Periods(store, self.world)
        self.money = MoneyViews(store, self.world, READERS.policy)
        self.gpu_faults = FaultViews(store, self.world)
        self.views = Views(store, self.world, is_simulated=cluster.is_simulated)
        self.cycle = Cycle(store, self.world, cluster, clock, ids, self.commands, acts=not settings.observe)
        self.views.state = self.cycle.state
        self.collecting = open_collecting(settings, store, self.meter, clock)
        self.notifying: NotifyingLoop | None = None
        self.loops = Loops(clock)
        self.periodic = Periodic(
            settings, store, self.world, clock, ids, self.idle_reclaim, self.census, publisher, self.wake
        )
        self.last_report: CycleReport | None = None
        self.cycle.report = self._note_cycle
        self._ticked = asyncio.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_cluster_started = False

    # running

    async def start(self) -> None:
        """Start the loops; a cluster that cannot be reached yet is tried again, and said so."""
        self._loop = asyncio.get_running_loop()
        if self.world.policy is not None:
            self.cluster.use_gpu_classes(self.world.policy.gpu_classes)
        self.loops.for_ever("watch", self._watch, deadline_seconds=60)
        self.loops.for_ever("cycle", self.cycle.run_once, deadline_seconds=30)
        self.periodic.run_on(self.loops)
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
            between = self.settings.period_seconds
            self.loops.every("notify", between, self.notifying.run_once, deadline_seconds=10 * between + 60)
        if self.simulation is not None:
            self.simulation.run_on(self.loops, self.world, self.commands, self.meter, self.settings)
        await self.periodic.grant()
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

    # what pages wait on

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

    # the loops' work

    async def _watch(self) -> None:
        """Reach the cluster, then bring in what it reports. Returns so that the loop counts as alive."""
        if not self._is_cluster_started:
            self.cluster.account_for(self.world.take_relaunched())
            await self.cluster.start()
            self._is_cluster_started = True
        policy = self.world.policy
        if policy is not None:
            self.cluster.use_gpu_classes(policy.gpu_classes)
        await self.cycle.watch_once()

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
