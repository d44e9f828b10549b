"""The outermost layer, as ASGI: how much of a body that is too large is read before it is refused."""

import logging
from asyncio import Future
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from scheduler.entrypoints.api.edge import DRAINED_BYTES_MAX, BodyTooLarge, Edge

PART = 1 << 16


async def read_to_the_end(receive: Receive) -> None:
    while (await receive())["more_body"]:
        pass


async def parts_read(headers: list[tuple[bytes, bytes]], sent: int, limit: int = 2 * PART) -> int:
    """Of so many parts, how many were read before the answer."""
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b" " * PART, "more_body": read < sent}

    async def send(_: Message) -> None: ...

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        with pytest.raises(BodyTooLarge):
            await read_to_the_end(receive)

    scope: Scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "query_string": b""}
    await Edge(app, limit)(scope, receive, send)
    return read


ANNOUNCED = (b"content-length", b"52428800")


@pytest.mark.parametrize("headers", [[ANNOUNCED], [(b"transfer-encoding", b"chunked")]], ids=["announced", "chunked"])
async def test_who_sends_too_much_is_heard_to_the_end_and_so_hears_why(headers: list[tuple[bytes, bytes]]) -> None:
    assert await parts_read(headers, 800) == 800


async def test_who_asks_first_has_sent_nothing_that_would_be_read() -> None:
    assert await parts_read([ANNOUNCED, (b"expect", b"100-continue")], 800) == 0


@pytest.mark.parametrize("headers", [[(b"content-encoding", b"br")], [ANNOUNCED]], ids=["encoded", "announced"])
async def test_a_body_that_nobody_reads_breaks_no_stream(headers: list[tuple[bytes, bytes]]) -> None:
    """While an answer streams, Starlette listens for its reader to leave: what comes then is refused too late."""
    told: list[Message] = [{"type": "http.request", "body": b"unread", "more_body": False}]
    answered: list[Message] = []

    async def receive() -> Message:
        return told.pop() if told else await Future[Message]()

    async def send(message: Message) -> None:
        answered.append(message)

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "query_string": b""}
    await Edge(StreamingResponse(parts_told()))(scope, receive, send)
    assert b"".join(message.get("body", b"") for message in answered) == b"all of it"


async def parts_told() -> AsyncIterator[bytes]:
    for part in (b"all", b" of ", b"it"):
        yield part


async def test_nobody_is_listened_to_for_ever() -> None:
    assert await parts_read([ANNOUNCED], 10**9) == DRAINED_BYTES_MAX // PART


async def test_a_body_that_breaks_off_is_a_line_in_the_log_and_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told: list[Message] = [
        {"type": "http.request", "body": b'{"windows": [', "more_body": True},
        {"type": "http.disconnect"},
    ]
    answered: list[Message] = []

    async def receive() -> Message:
        return told.pop(0)

    async def send(message: Message) -> None:
        answered.append(message)

    async def app(scope: Scope, receive: Receive, _: Send) -> None:
        await Request(scope, receive).body()

    scope: Scope = {"type": "http", "method": "POST", "path": "/v1/w", "headers": [], "query_string": b""}
    await Edge(app)(scope, receive, send)
    assert answered == []
    assert [(each.levelname, "POST /v1/w ended before its body did" in each.message) for each in caplog.records] == [
        ("INFO", True)
    ]
