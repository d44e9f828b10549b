"""A real HTTP server that takes what an agent sends as the API must: identities once, duplicates absorbed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from scheduler.domain.units import NodeName
from scheduler.metering.windows import Window
from scheduler.metering.wire import window_from_json

DEADLINE_SECONDS = 120.0


@dataclass
class ApiServer:
    """`status` other than 200 answers every request with it; `forget_answers` takes windows, and hangs up."""

    token: str = "agent-token"
    windows: dict[tuple[str, str, int], Window] = field(default_factory=dict)
    inventories: list[dict[str, Any]] = field(default_factory=list)
    duplicates: int = 0
    requests: int = 0
    status: int = 200
    forget_answers: bool = False
    windows_max: int = 1_000
    wants_inventory: bool = False
    refuse: Callable[[Window], bool] = field(default=lambda _: False)
    _runner: web.AppRunner | None = None
    _port: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        application = web.Application(client_max_size=8 << 20)
        application.router.add_put("/v1/nodes/{node}/inventory", self._put_inventory)
        application.router.add_post("/v1/nodes/{node}/windows", self._post_windows)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def of(self, gpu_uuid: str) -> list[Window]:
        """This device's windows in their order."""
        return sorted(
            (window for window in self.windows.values() if window.gpu_uuid == gpu_uuid), key=lambda w: w.sequence
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on what has come in; it is looked at after every request."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _put_inventory(self, request: web.Request) -> web.Response:
        refused = self._turn_away(request)
        if refused is None:
            self.inventories.append(await request.json())
            self.wants_inventory = False
        self._changed.set()
        return refused or web.json_response({})

    async def _post_windows(self, request: web.Request) -> web.Response:
        refused = self._turn_away(request)
        if refused is not None:
            self._changed.set()
            return refused
        body = await request.json()
        assert body["node"] == request.match_info["node"]
        if self.wants_inventory:
            return web.Response(status=404)
        if len(body["windows"]) > self.windows_max:
            return web.Response(status=413)
        refusals = [self._take(body, each) for each in body["windows"]]
        self._changed.set()
        if self.forget_answers:
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"refused": [each for each in refusals if each is not None]})

    def _take(self, body: dict[str, Any], each: dict[str, Any]) -> dict[str, Any] | None:
        window = window_from_json(NodeName(body["node"]), body["boot_id"], each)
        if self.refuse(window):
            return {"gpu_uuid": window.gpu_uuid, "sequence": window.sequence, "code": "refused-by-the-test"}
        identity = (window.boot_id, window.gpu_uuid, window.sequence)
        if identity in self.windows:
            assert self.windows[identity] == window, "an identity came again with another body"
            self.duplicates += 1
        self.windows[identity] = window
        return None

    def _turn_away(self, request: web.Request) -> web.Response | None:
        self.requests += 1
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        return None if self.status == 200 else web.Response(status=self.status)
