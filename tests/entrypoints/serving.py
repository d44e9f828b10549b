"""A service on a loopback port, in a thread of its own, as `allot serve` runs it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from scheduler.entrypoints.running import Service
from tests.entrypoints.lent_apps import lent_app

DEADLINE_SECONDS = 120.0


@contextmanager
def served(service: Service, *, with_loops: bool, host: str = "127.0.0.1") -> Iterator[str]:
    """Its address. Without its loops nothing happens but what is asked for."""
    with lent_app(service) as app:
        yield from _served(app, service, with_loops=with_loops, host=host)


def _served(app: FastAPI, service: Service, *, with_loops: bool, host: str) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=0, log_config=None, lifespan="off"))
    failed: list[BaseException] = []

    async def run() -> None:
        if with_loops:
            await service.start()
        try:
            await server.serve()
        finally:
            if with_loops:
                await service.close()

    def guarded() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    try:
        _wait_until_it_listens(server, failed)
        yield f"http://{host}:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(DEADLINE_SECONDS)
        if not with_loops:
            service.store.close()


def _wait_until_it_listens(server: uvicorn.Server, failed: list[BaseException]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not server.started:
        if failed or time.monotonic() > deadline:
            raise AssertionError(f"the server does not listen: {failed}")
        time.sleep(0.01)
