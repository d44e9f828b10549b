"""Live: a stream that says when something changed. The page then reads itself anew; without a script it stands still."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from scheduler.entrypoints.running import Service
from scheduler.entrypoints.web.pages import Pages

LOOK_SECONDS = 1.0
"""Between two events at least, however fast the cluster changes; and how soon a reader that is gone is noticed."""
KEEP_ALIVE_LOOKS = 15
LOOKS_MAX = 3_600
"""Then the stream ends, and the browser opens another: no connection lives for ever."""


def add_routes(router: APIRouter, pages: Pages) -> None:
    @router.get("/live")
    async def live(request: Request) -> StreamingResponse:
        async def is_over() -> bool:
            """Whether nobody listens any more, or the server ends: it waits for its connections, and so for us."""
            return getattr(request.app.state, "is_ending", False) or await request.is_disconnected()

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        stream = events(pages.service, is_over)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def events(
    service: Service, is_over: Callable[[], Awaitable[bool]], look_seconds: float = LOOK_SECONDS
) -> AsyncIterator[str]:
    """`event: tick` with the number of the latest change. What changed is for the page to read, with its own rights."""
    seen = service.tick
    yield f"retry: 2000\nevent: tick\ndata: {seen}\n\n"
    for look in range(1, LOOKS_MAX + 1):
        tick = await service.wait_for_tick(seen, look_seconds)
        if await is_over():
            return
        if tick != seen:
            yield f"event: tick\ndata: {tick}\n\n"
            await asyncio.sleep(look_seconds)
        elif look % KEEP_ALIVE_LOOKS == 0:
            yield ": nothing changed\n\n"
        seen = tick
