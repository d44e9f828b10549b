"""Writes to the apiserver with as little of our own processor as may be: the runner shares two cores with what it measures.

HTTP/1.1 over kept connections, one request at a time on each. Of an answer only its status is of interest, so no more than
metadata is asked for.
"""

import asyncio
import base64
import logging
import re
import ssl
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import orjson
import yaml

from scheduler.entrypoints.devcluster.client import ApiRefused, Json

_log = logging.getLogger(__name__)

TRIES_MAX = 10
AGAIN_SECONDS = 0.2
"""After the first try; after each other one as much longer."""

_ACCEPT = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class _Kept(asyncio.Protocol):
    """One connection, and the answer that is awaited on it."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if _is_whole(self._received) and self._answer is not None:
            answer, self._answer = self._answer, None
            received, self._received = self._received, b""
            if not answer.done():  # who waited for it may have been cancelled meanwhile
                answer.set_result(received)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the apiserver closed the connection"))

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    async def exchange(self, request: bytes) -> bytes:
        assert self._transport is not None, "only open connections are used"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Writes:
    """Use as an async context. At most `connections` requests at a time."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext, token: str, connections: int) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._always = f"Host: {host}:{port}\r\nAccept: {_ACCEPT}\r\nContent-Type: application/json\r\n"
        self._token = token
        self._free: list[_Kept] = []
        self._slots = asyncio.Semaphore(connections)

    @classmethod
    def from_kubeconfig(cls, path: Path, connections: int) -> Self:
        """From one of a single cluster, with an embedded authority and a token."""
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        server = urlsplit(cluster["server"])
        assert server.hostname is not None
        assert server.port is not None
        tls = ssl.create_default_context(cadata=authority)
        return cls(server.hostname, server.port, tls, user["token"], connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for kept in self._free:
            kept.close()

    async def send(self, method: str, path: str, body: Json, token: str | None = None) -> None:
        """As whoever has the token, else as ourselves. Once more where the apiserver is too busy to answer, as it is on a
        machine with other work.

        Raises ApiRefused where the answer is no success, OSError where none came, in the end.
        """
        content = orjson.dumps(body)
        bearer = f"Authorization: Bearer {token or self._token}\r\n"
        head = f"{method} {path} HTTP/1.1\r\n{self._always}{bearer}Content-Length: {len(content)}\r\n\r\n"
        for tries in range(TRIES_MAX):
            is_last = tries == TRIES_MAX - 1
            try:
                answer = await self._exchange(head.encode() + content)
            except OSError as error:
                if is_last:
                    raise
                _log.warning("%s %s had no answer, and is sent again: %s", method, path, error)
            else:
                status = int(answer[9:12])
                if status < 400 or (tries and method == "POST" and status == HTTPStatus.CONFLICT):
                    return  # what is there already was made by the try before
                refused = ApiRefused(status, {"message": answer.decode(errors="replace")[-500:]}, f"{method} {path}")
                if is_last or not (status >= 500 or status == HTTPStatus.TOO_MANY_REQUESTS):
                    raise refused
                _log.warning("sent again: %s", refused)
            await asyncio.sleep(AGAIN_SECONDS * (tries + 1))

    async def _exchange(self, request: bytes) -> bytes:
        async with self._slots:
            kept = await self._connection()
            try:
                answer = await kept.exchange(request)
            except BaseException:
                kept.close()
                raise
            self._free.append(kept)
            return answer

    async def _connection(self) -> _Kept:
        while self._free:
            kept = self._free.pop()
            if kept.is_open:
                return kept
        loop = asyncio.get_running_loop()
        _, kept = await loop.create_connection(_Kept, self._host, self._port, ssl=self._tls)
        return kept


def _is_whole(received: bytes) -> bool:
    """Whether an answer is there with all its body, of stated length or in chunks."""
    head_end = received.find(_HEAD_END)
    if head_end < 0:
        return False
    length = _LENGTH.search(received, 0, head_end + 2)
    if length is None:
        return received.endswith(_LAST_CHUNK)
    return len(received) >= head_end + len(_HEAD_END) + int(length.group(1))
