"""Live: a stream that says when something changed. The page then reads itself anew; without a script it stands still."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from scheduler.entrypoints.service import Service
from scheduler.entrypoints.web.pages import Pages

PAUSE_SECONDS = 1.0
"""Between two events at least, however fast the cluster changes."""
KEEP_ALIVE_SECONDS = 15.0
EVENTS_MAX = 3_600
"""Then the stream ends, and the browser opens another: no connection lives for ever."""


def add_routes(router: APIRouter, pages: Pages) -> None:
    @router.get("/live")
    async def live(request: Request) -> StreamingResponse:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        stream = events(pages.service, request.is_disconnected)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def events(
    service: Service, is_gone: Callable[[], Awaitable[bool]], pause_seconds: float = PAUSE_SECONDS
) -> AsyncIterator[str]:
    """`event: tick` with the number of the latest change. What changed is for the page to read, with its own rights."""
    seen = service.tick
    yield f"retry: 2000\nevent: tick\ndata: {seen}\n\n"
    for _ in range(EVENTS_MAX):
        tick = await service.wait_for_tick(seen, KEEP_ALIVE_SECONDS)
        if await is_gone():
            return
        yield f"event: tick\ndata: {tick}\n\n" if tick != seen else ": nothing changed\n\n"
        seen = tick
        await asyncio.sleep(pause_seconds)
