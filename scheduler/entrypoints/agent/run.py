"""Puts the agent together and runs it until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
import sqlite3
import time
from typing import Any

from scheduler.adapters.cgroup_tree import CgroupTree
from scheduler.adapters.kubelet.cdi import CdiFolder
from scheduler.adapters.kubelet.pod_resources import PodResources
from scheduler.adapters.nvml.proc import boot_id
from scheduler.adapters.pod_connections import PodConnections
from scheduler.adapters.window_spool import WindowSpool
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import Instant
from scheduler.entrypoints.agent.api import ApiClient
from scheduler.entrypoints.agent.metrics import STALE_WINDOWS, AgentCollector, AgentState
from scheduler.entrypoints.agent.recorder import Recorder
from scheduler.entrypoints.agent.serving import answering
from scheduler.entrypoints.agent.settings import AgentSettings
from scheduler.entrypoints.agent.supervisor import Supervisor
from scheduler.entrypoints.agent.uploader import Uploader
from scheduler.metering.devices import AgentCounts, SensorState
from scheduler.metering.integration import Integration
from scheduler.metering.samples import Reading
from scheduler.metering.wire import inventory_json

logger = logging.getLogger("allot.agent")

LAST_WORD_SECONDS = 3.0
"""How long a stopping agent tries to send what it has; the rest stays in the spool."""


def run_agent(settings: AgentSettings) -> None:
    """Blocks until SIGTERM or SIGINT."""
    asyncio.run(_run(settings))


async def _run(settings: AgentSettings) -> None:
    spool = _open_spool(settings)
    api = ApiClient(settings)
    try:
        agent = Agent(settings, spool, api)
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        await agent.run_until(stopping)
    finally:
        await api.close()
        spool.close()


def _open_spool(settings: AgentSettings) -> WindowSpool:
    """Raises InvalidInput where it cannot be: not to be written, or another agent's."""
    try:
        return WindowSpool(settings.spool, settings.spool_windows_max)
    except (sqlite3.OperationalError, OSError) as error:
        raise InvalidInput(
            f"the spool {settings.spool} cannot be opened: {error}",
            code=RefusalCode.INVALID_VALUE,
            where="--spool",
            expected="a file that this agent may write and no other has open",
        ) from error


class Agent:
    """One node's agent: sampler, recorder and uploader."""

    def __init__(self, settings: AgentSettings, spool: WindowSpool, api: ApiClient) -> None:
        rules = Integration(settings.node, boot_id(settings.proc), settings.window_ms, settings.gap_ms)
        self._settings = settings
        self._api = api
        self._spool = spool
        self._recorder = Recorder(spool, rules)
        self._supervisor = Supervisor(settings)
        self._uploader = Uploader(settings, api, spool, self._inventory)
        self._pod_resources = PodResources(settings.pod_resources, CdiFolder(settings.cdi, settings.proc))
        self._cgroups = CgroupTree(settings.cgroups)
        self._connections = PodConnections(settings.proc)
        self._allocations_seconds = settings.allocations_ms / 1_000
        self._told: tuple[object, ...] = ()

    async def run_until(self, stopping: asyncio.Event) -> None:
        """Sample and send until then; then keep what is open, and send what can be sent quickly."""
        tasks = [
            asyncio.create_task(self._record()),
            asyncio.create_task(self._uploader.run()),
            asyncio.create_task(self._ask_the_kubelet()),
        ]
        stop = asyncio.create_task(stopping.wait())
        collector = AgentCollector(self._recorder, self._state)
        try:
            async with answering(self._settings.metrics, collector):
                done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in (*tasks, stop):
                task.cancel()
            await asyncio.gather(*tasks, stop, return_exceptions=True)
        self._recorder.pause(SensorState.RESTARTING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_SECONDS):
                await self._uploader.send_all()

    async def _record(self) -> None:
        async with contextlib.aclosing(self._supervisor.readings()) as readings:
            async for news in readings:
                match news:
                    case Reading():
                        self._recorder.cpu_use.note(news.at, self._cgroups.usage())
                        self._recorder.serving.note(news.at, self._connections.accepted())
                        self._tell(self._recorder.record(news))
                    case SensorState():
                        self._tell(self._recorder.pause(news))

    async def _ask_the_kubelet(self) -> None:
        """Who has which GPU, and which pods there are, for the windows that close until the next answer."""
        while True:
            self._recorder.allocated = await asyncio.to_thread(self._pod_resources.list)
            await asyncio.to_thread(self._cgroups.look)
            await asyncio.to_thread(self._connections.look, self._cgroups.groups)
            await asyncio.sleep(self._allocations_seconds)

    def _tell(self, closed: int) -> None:
        """Wake the uploader for windows, and for an inventory that says something new."""
        inventory = self._recorder.inventory(_now())
        if inventory is None:
            return
        news = (inventory.sensor_state, inventory.process_view, inventory.driver_version, inventory.devices)
        is_news = news != self._told
        self._told = news
        if closed or is_news:
            self._uploader.wake(has_new_inventory=is_news)

    def _inventory(self) -> dict[str, Any] | None:
        inventory = self._recorder.inventory(_now())
        if inventory is None:
            return None
        counts = self._counts()
        return {
            **inventory_json(inventory),
            "sampler_restarts": counts.sampler_restarts,
            "samples_from_the_past": counts.samples_from_the_past,
            "has_pod_resources": counts.has_pod_resources,
            "unresolved_allocations": counts.unresolved_allocations,
            "spool": {"waiting": counts.waiting, "lost": counts.lost, "refused": counts.refused},
        }

    def _counts(self) -> AgentCounts:
        spooled = self._spool.counts()
        return AgentCounts(
            sampler_restarts=self._supervisor.restarts,
            samples_from_the_past=self._recorder.samples_from_the_past,
            waiting=spooled.waiting,
            lost=spooled.lost,
            refused=spooled.refused,
            has_pod_resources=self._recorder.allocated is not None,
            unresolved_allocations=self._recorder.unresolved_allocations,
        )

    def _state(self) -> AgentState:
        return AgentState(
            node=self._settings.node,
            now=_now(),
            stale_ms=STALE_WINDOWS * self._settings.window_ms,
            spool_windows_max=self._settings.spool_windows_max,
            counts=self._counts(),
            sensor_state=self._recorder.state,
            sent_at=self._api.taken_at,
        )


def _now() -> Instant:
    return Instant(time.time_ns() // 1_000_000)
