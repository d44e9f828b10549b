"""HTTP to the apiserver: a pool of connections, bytes in, bytes out. It knows no Kubernetes object."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from scheduler.adapters.kubernetes.backoff import Backoff, Jitter
from scheduler.adapters.kubernetes.credentials import Credentials
from scheduler.adapters.kubernetes.names import JSON
from scheduler.domain.errors import RefusalCode, Unavailable

_TOKEN_KEPT_SECONDS: Final = 30.0
"""A renewed token reaches us at most so late; well within the minutes for which the old one stays valid."""

_LINE_BYTES_MAX: Final = 16 * 2**20
"""No object of etcd is larger than a few MiB; a longer line is no watch event."""

_WAITS_FOR_GOODBYES: Final = sys.version_info < (3, 12, 8) or (3, 13, 0) <= sys.version_info < (3, 13, 1)
"""Whether Python, where a request is given up half way, keeps its socket until the server's TLS goodbye (CPython 118960).
aiohttp is then to close such ones itself; told so by a later Python, it warns."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    retry_after_seconds: float | None = None

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def asks_to_retry(self) -> bool:
        return self.status == 429 or self.status >= 500


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`connections` bounds the requests under way; `patience_seconds` how long a 429 is waited for in all."""

    connections: int = 64
    timeout_seconds: float = 30.0
    connect_seconds: float = 5.0
    patience_seconds: float = 10.0


class Connection:
    """Use as an async context. Watches have connections of their own, so that writes never wait behind them."""

    def __init__(
        self,
        credentials: Credentials,
        jitter: Jitter,
        limits: ConnectionLimits = ConnectionLimits(),
    ) -> None:
        self._credentials = credentials
        self._jitter = jitter
        self._limits = limits
        self._timeout = aiohttp.ClientTimeout(total=limits.timeout_seconds, sock_connect=limits.connect_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._token: str | None = None
        self._token_read_at = float("-inf")
        self._renewing = asyncio.Lock()

    @property
    def server(self) -> str:
        return self._credentials.server

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Raises Unavailable where the certificates cannot be used. Connects to nothing yet."""
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=0,
            ssl=self._credentials.tls() or True,
            keepalive_timeout=60,
            enable_cleanup_closed=_WAITS_FOR_GOODBYES,
        )
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=True)
        self._slots = asyncio.Semaphore(self._limits.connections)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """One exchange. Raises Unavailable where no answer came; whether it was carried out is then unknown.

        A 429 was not carried out, so anything may be sent again: it is, for as long as patience lasts.
        """
        url = self._url(path, params)
        backoff = Backoff(self._jitter, first_seconds=0.5)
        waited_seconds = 0.0
        while True:
            answer = await self._exchange(method, url, body, content_type, accept)
            if answer.status == 401:
                self._token_read_at = float("-inf")
            if answer.status != 429 or waited_seconds >= self._limits.patience_seconds:
                return answer
            wait_seconds = backoff.failed(answer.retry_after_seconds)
            waited_seconds += wait_seconds
            await asyncio.sleep(wait_seconds)

    async def _exchange(self, method: str, url: URL, body: bytes | None, content_type: str, accept: str) -> Answer:
        async with self._slots:
            try:
                async with self._open_session.request(
                    method,
                    url,
                    data=body,
                    headers=await self._headers(content_type, accept),
                    timeout=self._timeout,
                    proxy=self._credentials.proxy,
                    server_hostname=self._credentials.server_hostname,
                ) as response:
                    return Answer(response.status, await response.read(), _retry_after(response))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise self._unreachable(error) from error

    @asynccontextmanager
    async def lines(
        self, path: str, params: Mapping[str, str], idle_seconds: float
    ) -> AsyncIterator[tuple[Answer | None, AsyncIterator[bytes]]]:
        """A streamed answer, line by line; (the answer, nothing) where it is no success.

        Raises Unavailable where the stream breaks, or stays silent for `idle_seconds`.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=idle_seconds)
        try:
            async with self._open_session.get(
                self._url(path, params),
                headers=await self._headers(JSON, JSON),
                timeout=timeout,
                proxy=self._credentials.proxy,
                server_hostname=self._credentials.server_hostname,
            ) as response:
                if response.status == 200:
                    transport = response.connection.transport if response.connection is not None else None
                    try:
                        yield None, _split(response.content)
                    finally:
                        # At once: a polite TLS goodbye would outlive us, waiting for a server that has more to say.
                        if transport is not None:
                            transport.abort()
                else:
                    yield Answer(response.status, await response.read(), _retry_after(response)), _nothing()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise Unavailable("the connection is closed", code=RefusalCode.CLUSTER_UNAVAILABLE)
        return self._session

    def _url(self, path: str, params: Mapping[str, str] | None) -> URL:
        query = f"?{urlencode(params)}" if params else ""
        return URL(f"{self._credentials.server}{path}{query}", encoded=True)

    async def _headers(self, content_type: str, accept: str) -> dict[str, str]:
        if self._is_token_old():
            async with self._renewing:  # who asks meanwhile waits for the token, and is not sent without one
                if self._is_token_old():
                    self._token = await self._credentials.authorization()
                    self._token_read_at = asyncio.get_running_loop().time()
        headers = {"Accept": accept, "Content-Type": content_type, "User-Agent": "allot"}
        if self._token is not None:
            headers["Authorization"] = self._token
        return headers

    def _is_token_old(self) -> bool:
        return asyncio.get_running_loop().time() - self._token_read_at > _TOKEN_KEPT_SECONDS

    def _unreachable(self, error: Exception) -> Unavailable:
        cause = " ".join(str(error).split()) or type(error).__name__
        return Unavailable(
            f"the Kubernetes API at {self.server} does not answer: {cause}",
            code=RefusalCode.CLUSTER_UNAVAILABLE,
            remedy=f"check the network and the server in {self._credentials.source}",
        )


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    try:
        return float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        return None


async def _split(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: StreamReader's own readline refuses those beyond its buffer."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
        if len(rest) > _LINE_BYTES_MAX:
            raise aiohttp.ClientPayloadError("a watch event is longer than any object can be")


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for line in nothing:
        yield line
