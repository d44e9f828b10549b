"""Watches over the sampler: one that dies, or is silent for too long, is ended and another is started.

A process that hangs in the kernel cannot be ended. Another would hang beside it, so none is started until it is
gone, and the node's state says `stuck`.
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from scheduler.entrypoints.agent.frames import read_frame
from scheduler.entrypoints.agent.settings import AgentSettings
from scheduler.metering.devices import SensorState
from scheduler.metering.samples import Reading

logger = logging.getLogger("allot.agent")

RESTART_PAUSE_SECONDS = 1.0
RESTART_PAUSE_SECONDS_MAX = 60.0
END_SECONDS = 5.0
"""How long a sampler may take to end when asked, and how long a killed one may take to be gone."""


@dataclass
class _Child:
    process: asyncio.subprocess.Process
    stream: asyncio.StreamReader
    transport: asyncio.ReadTransport

    async def end(self) -> bool:
        """Ask, then kill. False where it is still there: it hangs in the kernel."""
        self.transport.close()
        for stop in (self.process.terminate, self.process.kill):
            with contextlib.suppress(ProcessLookupError):
                stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await self.process.wait()
                return True
        return False


class Supervisor:
    """`restarts` counts the samplers that were started beyond the first."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self.restarts = 0

    async def readings(self) -> AsyncGenerator[Reading | SensorState, None]:
        """Every reading as it comes, and the state between samplers. It ends only when it is closed."""
        pause = RESTART_PAUSE_SECONDS
        while True:
            child = await _start(self._settings)
            try:
                async for reading in self._until_silent(child):
                    pause = RESTART_PAUSE_SECONDS
                    yield reading
            finally:
                is_gone = await child.end()
            self.restarts += 1
            yield SensorState.RESTARTING
            if not is_gone:
                logger.error("the sampler hangs in the kernel (pid %s): waiting for it", child.process.pid)
                yield SensorState.STUCK
                await child.process.wait()
            await asyncio.sleep(pause)
            pause = min(2 * pause, RESTART_PAUSE_SECONDS_MAX)

    async def _until_silent(self, child: _Child) -> AsyncGenerator[Reading, None]:
        allowed_ms = self._settings.first_reading_ms
        while True:
            try:
                async with asyncio.timeout(allowed_ms / 1_000):
                    reading = await read_frame(child.stream)
            except TimeoutError:
                logger.warning("no reading for %s ms: the sampler (pid %s) hangs", allowed_ms, child.process.pid)
                return
            except asyncio.IncompleteReadError:
                logger.warning("the sampler (pid %s) is gone", child.process.pid)
                return
            allowed_ms = self._settings.watchdog_ms
            yield reading


async def _start(settings: AgentSettings) -> _Child:
    reading_end, writing_end = os.pipe()
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading_end, "rb")
    )
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "scheduler.entrypoints.agent.sampler",
            str(writing_end),
            str(settings.sample_ms),
            str(settings.proc),
            pass_fds=(writing_end,),
            stdin=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        transport.close()
        raise
    finally:
        os.close(writing_end)
    return _Child(process, stream, transport)
