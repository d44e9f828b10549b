"""The simulated agents as a loop of the service: they post what their GPUs do, and the meter judges it as any other."""

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby

from scheduler.domain.people import Caller, Role
from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, Instant, NodeName
from scheduler.lifecycle.sensing.meter import Meter, Post
from scheduler.metering.devices import Inventory
from scheduler.metering.windows import Window
from scheduler.metering.wire import inventory_json, window_json
from scheduler.ports import Clock
from scheduler.simulation.agents import SimulatedAgents
from scheduler.simulation.cluster import SimulatedCluster
from scheduler.simulation.sensors import Look, SimulatedSensors

WINDOW_SAMPLES = 5
INVENTORY_EVERY_MS = 60 * MS_PER_MINUTE
GAP_SAMPLES = 20
CAUGHT_UP_MAX = 60
"""Samples that a late round makes up for. A busy machine delays this loop, and with it every simulated agent at once: that
is no silence of theirs, and idle clocks would stand still for as long as it is busy. What their GPUs did is a function of
time, so it can be read later."""

NODES_AT_ONCE = 2
"""Nodes that read, and whose windows share a transaction. All hundred at once would keep everybody waiting for 200 ms, and
four whose rounds had been late for 40."""


class SimulatedAgentLoop:
    """`factor` is how many simulated seconds pass in a real one: there is one sample a real second, and not more than
    one every five simulated seconds."""

    def __init__(self, cluster: SimulatedCluster, clock: Clock, meter: Meter, factor: int) -> None:
        self._clock = clock
        self._meter = meter
        self._told_at: Instant | None = None
        self._sample_ms = sample_ms = max(5, factor) * MS_PER_SECOND
        self._read_until: dict[int, Instant] = {}
        self._kept_until: dict[NodeName, Instant] = {}
        """By the run of the service before: after a crash simulated time goes on from when it was saved last, which is
        before the last windows that it kept."""
        self.period_seconds = sample_ms / MS_PER_SECOND / factor
        self._agents = SimulatedAgents(
            SimulatedSensors(lambda: cluster.model),
            str(clock.now()),
            sample_ms=sample_ms,
            window_ms=WINDOW_SAMPLES * sample_ms,
            gap_samples=GAP_SAMPLES,
        )
        names = self._agents.nodes()
        self._shares = [frozenset(names[at : at + NODES_AT_ONCE]) for at in range(0, len(names), NODES_AT_ONCE)]
        self._rounds = 0

    async def run_once(self) -> None:
        """Sample every GPU; post what windows that fills. The model is looked at here, on the event loop: it is not
        safe for threads. The rest takes tens of milliseconds, for which no answer may wait."""
        now = self._clock.now()
        is_due = self._told_at is None or now - self._told_at >= INVENTORY_EVERY_MS
        inventories = self._agents.inventories(now) if is_due else []
        self._told_at = now if is_due else self._told_at
        if inventories:
            await asyncio.to_thread(self._tell, inventories, now)
        look = self._agents.look(min(self._read_until.values(), default=now))
        for place, nodes in enumerate(self._shares):
            if self._rounds >= place % WINDOW_SAMPLES:  # as agents that were not all started in the same moment
                await asyncio.to_thread(self._observe, nodes, look, self._instants(place, now))
                await asyncio.sleep(self.period_seconds / (2 * len(self._shares)))
        self._rounds += 1

    def _tell(self, inventories: Sequence[Inventory], now: Instant) -> None:
        if not self._rounds:
            self._kept_until = self._meter.kept_until()
        for inventory in inventories:
            caller = Caller(f"node:{inventory.node}", frozenset({Role.AGENT}), node=inventory.node)
            self._meter.accept_inventory(caller, inventory.node, inventory_json(inventory), now=now)

    def _instants(self, place: int, now: Instant) -> list[Instant]:
        """When to read these nodes: now, and at what was missed since the last time."""
        since = self._read_until.get(place, now)
        self._read_until[place] = now
        missed = range(since + self._sample_ms, now - self._sample_ms // 2, self._sample_ms)[-CAUGHT_UP_MAX:]
        return [*map(Instant, missed), now]

    def _observe(self, nodes: AbstractSet[NodeName], look: Look, instants: Sequence[Instant]) -> None:
        for at in instants:  # a transaction each, so that those of a late round take no longer than others
            new_to = frozenset(node for node in nodes if at >= self._kept_until.get(node, at))
            windows = self._agents.observe(at, look, new_to)
            posts = [
                Post(node, self._agents.boot_id, [window_json(window) for window in of_node])
                for node, of_node in groupby(sorted(windows, key=_node), key=_node)
            ]
            if posts:
                self._meter.accept_all(posts, now=instants[-1])


def _node(window: Window) -> NodeName:
    return window.node
