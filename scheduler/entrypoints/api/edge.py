"""The outermost layer of every request: an id, a bound on the body, and headers that every answer carries."""

import logging
import re
import secrets
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)

BODY_BYTES_MAX = 2 * 1024 * 1024
"""A policy may have 1 MB, a node's windows of an hour less than that."""

DRAINED_BYTES_MAX = 64 * 1024 * 1024
"""So much more of a body that is too large is read, and thrown away: who still sends when the connection is closed never
sees why."""

REQUEST_ID_HEADER = "X-Request-Id"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BodyTooLarge(HTTPException):
    """An HTTPException, because that is the one kind of error FastAPI passes on while it reads a body."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the body has more than {limit} bytes")


class BodyEncoded(HTTPException):
    """A body is read as it comes: one that unpacks to a thousand times its length would get past the bound."""

    def __init__(self, encoding: str) -> None:
        super().__init__(415, f"the body is encoded as {encoding[:40]!r}")


class Edge:
    """ASGI middleware. It reads nothing ahead: a body is counted as the route reads it."""

    def __init__(self, app: ASGIApp, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        received = 0

        async def counted() -> Message:
            nonlocal received
            await _refuse_by_headers(headers, receive, self._body_bytes_max)
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._body_bytes_max:
                if message.get("more_body", False):
                    await _drain(receive)
                raise BodyTooLarge(self._body_bytes_max)
            return message

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                answered[REQUEST_ID_HEADER] = request_id
                _say_when(answered, scope["state"])
                answered.setdefault("X-Content-Type-Options", "nosniff")
                answered.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            # Nobody reads the body of a GET: an answer that streams only listens for its reader to leave.
            if scope["method"] == "HEAD":
                await self._app({**scope, "method": "GET"}, receive, _without_body(marked))
            elif scope["method"] == "GET":
                await self._app(scope, receive, marked)
            else:
                await self._app(scope, counted, marked)
        except ClientDisconnect:
            # Half a body is none, and there is nobody left to answer: an agent sends it again.
            _log.info("request %s %s %s ended before its body did", request_id, scope["method"], scope["path"])


async def _refuse_by_headers(headers: Headers, receive: Receive, body_bytes_max: int) -> None:
    """Raises BodyTooLarge, BodyEncoded: what the headers say of the body is enough to refuse it."""
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:19]) > body_bytes_max:
        if "expect" not in headers:  # who asks first whether to send has sent nothing
            await _drain(receive)
        raise BodyTooLarge(body_bytes_max)
    encoding = headers.get("content-encoding", "identity")
    if encoding.strip().lower() != "identity":
        raise BodyEncoded(encoding)


async def _drain(receive: Receive) -> None:
    left = DRAINED_BYTES_MAX
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _without_body(send: Send) -> Send:
    """HEAD is GET without the body, on every route: the answer ends where its body would begin, a stream's too."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return sent


def _say_when(answered: MutableHeaders, state: Mapping[str, Any]) -> None:
    """The service's own now, where the route noted it: readers tell ages by it, for it may be simulated."""
    if "now" in state:
        answered["X-Allot-Now"] = state["now"]
        answered["X-Allot-Simulated"] = "true" if state["is_simulated"] else "false"


def _request_id(given: str | None) -> str:
    """The caller's own id where it is fit to stand in a log line, else a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return f"r-{secrets.token_hex(6)}"
