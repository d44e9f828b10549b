"""Live: a stream that says when something changed. The page then reads itself anew; without a script it stands still."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from scheduler.entrypoints.web.pages import Pages

_PAUSE_SECONDS = 1.0
"""Between two events at least, however fast the cluster changes."""
_KEEP_ALIVE_SECONDS = 15.0
_EVENTS_MAX = 3_600
"""Then the stream ends, and the browser opens another: no connection lives for ever."""


def add_routes(router: APIRouter, pages: Pages) -> None:
    @router.get("/live")
    async def live(request: Request) -> StreamingResponse:
        events = _events(request, pages)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)


async def _events(request: Request, pages: Pages) -> AsyncIterator[str]:
    """`event: tick` with the number of the latest change. Which change it was is for the page to read."""
    seen = pages.service.tick
    yield f"retry: 2000\nevent: tick\ndata: {seen}\n\n"
    for _ in range(_EVENTS_MAX):
        tick = await pages.service.wait_for_tick(seen, _KEEP_ALIVE_SECONDS)
        if await request.is_disconnected():
            return
        yield f"event: tick\ndata: {tick}\n\n" if tick != seen else ": nothing changed\n\n"
        seen = tick
        await asyncio.sleep(_PAUSE_SECONDS)
