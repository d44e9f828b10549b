"""A reverse proxy before the real apiserver that does to the traffic what networks and load balancers do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from scheduler.adapters.kubernetes.credentials import load_credentials
from scheduler.entrypoints.devcluster.cluster import ControlPlane

_HOP_HEADERS = {"transfer-encoding", "content-length", "connection", "content-encoding"}


class Wire:
    """Faults are switched on and off by its fields; it never invents an answer but 429 and, for pages, 410."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self._upstream = upstream
        self._session = session
        self.is_cut = False
        self.is_silent = False  # watches stay open and say nothing
        self.throttled = 0  # so many requests are answered 429
        self.swallowed = 0  # so many writes are carried out, and their answers lost
        self.expired_pages = 0  # so many further pages of lists are answered 410
        self.expired_watches = 0  # counted: watches that were told that their version is too old
        self.seen: list[tuple[str, str, int]] = []
        self._streams: dict[int, web.Request] = {}

    def cut_streams(self) -> None:
        for request in self._streams.values():
            if request.transport is not None:
                request.transport.abort()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self.is_cut:
            return _hang_up(request)
        if self.throttled > 0 and "watch" not in request.query:
            self.throttled -= 1
            return web.Response(status=429, headers={"Retry-After": "0"}, text="slow down")
        if self.expired_pages > 0 and "continue" in request.query:
            self.expired_pages -= 1
            return web.json_response({"kind": "Status", "code": 410, "reason": "Expired"}, status=410)
        query = dict(request.query)
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        async with self._session.request(
            request.method,
            f"{self._upstream}{request.path}",
            params=query,
            data=await request.read(),
            headers=headers,
        ) as upstream:
            self.seen.append((request.method, request.path, upstream.status))
            if "watch" in query and upstream.status == 200:
                return await self._stream(request, upstream)
            if self.swallowed > 0 and request.method in {"POST", "PATCH"}:
                self.swallowed -= 1
                return _hang_up(request)
            kept = {key: value for key, value in upstream.headers.items() if key.lower() not in _HOP_HEADERS}
            return web.Response(status=upstream.status, body=await upstream.read(), headers=kept)

    async def _stream(self, request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        # Kept: once the server has died the response knows its connection no more, and nobody would close it.
        transport = upstream.connection.transport if upstream.connection is not None else None
        self._streams[id(request)] = request
        try:
            async for chunk in upstream.content.iter_any():
                if self.is_silent:
                    await asyncio.Event().wait()
                self.expired_watches += b'"type":"ERROR"' in chunk and b'"code":410' in chunk
                await response.write(chunk)
        except (ConnectionError, aiohttp.ClientError):
            return response
        finally:
            del self._streams[id(request)]
            if transport is not None:
                transport.abort()
        return response


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


@asynccontextmanager
async def wire_to(control_plane: ControlPlane, directory: Path) -> AsyncIterator[tuple[Wire, Path]]:
    """The wire, and a kubeconfig by which the apiserver is reached through it, as administrator."""
    tls = load_credentials(str(control_plane.kubeconfig)).tls()
    assert tls is not None
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        wire = Wire(control_plane.server, session)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", wire.serve)
        runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield wire, kubeconfig_for(directory, f"http://{host}:{port}")
        finally:
            await runner.cleanup()


def kubeconfig_for(directory: Path, server: str) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "wire",
        "contexts": [{"name": "wire", "context": {"cluster": "wire", "user": "wire"}}],
        "clusters": [{"name": "wire", "cluster": {"server": server}}],
        "users": [{"name": "wire", "user": {}}],
    }
    file = directory / "wire.kubeconfig"
    file.write_text(yaml.safe_dump(document))
    return file
