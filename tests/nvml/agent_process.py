"""`allot agent` as a process of its own, on the fake library, at a pace of tenths of a second."""

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.nvml.machine import FakeMachine

SAMPLE_MS = 50
WINDOW_MS = 200
GAP_MS = 125
NODE = "node-1"
START = "import typer; from scheduler.entrypoints.cli.agent import agent; typer.run(agent)"
REPOSITORY = Path(__file__).parents[2]


class Target(Protocol):
    """Where an agent posts to."""

    @property
    def address(self) -> str: ...

    @property
    def token(self) -> str: ...


@dataclass
class AgentProcess:
    fake: FakeMachine
    directory: Path
    process: asyncio.subprocess.Process | None = None
    node: str = NODE

    async def start(self, api: Target, *options: str) -> None:
        token = self.directory / "token"
        token.write_text(api.token + "\n")
        with (self.directory / "agent.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-c", START, "--server", api.address, "--node", self.node, "--token-file", str(token)),
                *("--spool", str(self.directory / "spool" / "spool.db")),
                *("--sample-ms", str(SAMPLE_MS), "--window-ms", str(WINDOW_MS), "--inventory-ms", "500"),
                *("--watchdog-ms", "700", "--retry-ms-max", "200", *options),
                env=dict(self.fake.environment()),
                cwd=REPOSITORY,
                stderr=log,
            )

    async def stop(self) -> int:
        """SIGTERM, as a DaemonSet's pod is ended."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await self._ended()

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self._ended()

    async def end(self) -> None:
        if self.process is not None and self.process.returncode is None:
            await self.kill()

    def log(self) -> str:
        return (self.directory / "agent.log").read_text()

    async def _ended(self) -> int:
        assert self.process is not None
        async with asyncio.timeout(120):
            return await self.process.wait()
