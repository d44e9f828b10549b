"""Answers Prometheus over HTTP at `/metrics`; nothing else is served, and nothing can be changed."""

import contextlib
import logging
from collections.abc import AsyncIterator

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from scheduler.entrypoints.agent.metrics import AgentCollector

logger = logging.getLogger("allot.agent")

END_SECONDS = 0.5


@contextlib.asynccontextmanager
async def answering(address: str, collector: AgentCollector) -> AsyncIterator[None]:
    """Nothing where the address is empty. An address that cannot be had is logged: metering goes on without it."""
    if not address:
        yield
        return
    registry = CollectorRegistry()
    registry.register(collector)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=END_SECONDS)
    await runner.setup()
    host, _, port = address.rpartition(":")
    try:
        await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
        logger.info("metrics at port %d", runner.addresses[0][1])
    except OSError as error:
        logger.warning("metrics cannot be served at %s: %s", address, error)
    try:
        yield
    finally:
        await runner.cleanup()
