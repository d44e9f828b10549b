"""A bare client of the Kubernetes API: raw JSON over a connection pool, client certificates, no models.

It sets clusters up, and lets tests look at them with other eyes than the service's own adapter.
"""

import base64
import binascii
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
import yaml

from scheduler.domain.errors import InvalidInput, RefusalCode, Unavailable

Json = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

# A watch event is one line, and a line may hold an object of etcd's full 1.5 MiB.
_LINE_BYTES = 4 * 1024 * 1024


class ApiRefused(Unavailable):
    """The apiserver answered with an error."""

    default_code = RefusalCode.CLUSTER_UNAVAILABLE

    def __init__(self, status: int, answer: Json, where: str) -> None:
        super().__init__(f"{status} {answer.get('reason', '')}: {answer.get('message', answer)}", where=where)
        self.status = status
        self.answer = answer


class ApiClient:
    """Use as `async with ApiClient.from_kubeconfig(path) as api`. At most `connections` requests at a time."""

    def __init__(self, server: str, tls: ssl.SSLContext, connections: int = 32, token: str | None = None) -> None:
        self.server = server
        self._tls = tls
        self._connections = connections
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, path: Path, connections: int = 32) -> Self:
        """From a kubeconfig as this package writes it: its current context, with embedded certificates or a token."""
        try:
            document = yaml.safe_load(path.read_text())
            context = _named(document["contexts"], document["current-context"])["context"]
            cluster = _named(document["clusters"], context["cluster"])["cluster"]
            user = _named(document["users"], context["user"])["user"]
            tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
            token = user.get("token")
            if token is None:
                certificate = base64.b64decode(user["client-certificate-data"])
                _present(tls, certificate, base64.b64decode(user["client-key-data"]))
        except (yaml.YAMLError, KeyError, StopIteration, TypeError, binascii.Error, ssl.SSLError) as error:
            raise InvalidInput(
                f"not a kubeconfig with an embedded client certificate or token ({type(error).__name__}: {error})",
                where=str(path),
                code=RefusalCode.KUBECONFIG_INVALID,
                remedy="`allot dev cluster kubeconfig` names one",
            ) from error
        return cls(cluster["server"], tls, connections, token)

    def beside(self, server: str) -> "ApiClient":
        """The same identity towards another server that the same authority vouches for."""
        return ApiClient(server, self._tls, self._connections, self._token)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            base_url=self.server,
            headers={} if self._token is None else {"Authorization": f"Bearer {self._token}"},
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=30),
            read_bufsize=_LINE_BYTES,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, **query: str) -> Json:
        return await self._json("GET", path, query=query)

    async def items(self, path: str, **query: str) -> list[Json]:
        items: list[Json] = (await self.get(path, **query))["items"]
        return items

    async def post(self, path: str, body: Json, **query: str) -> Json:
        return await self._json("POST", path, body, query=query)

    async def put(self, path: str, body: Json, **query: str) -> Json:
        return await self._json("PUT", path, body, query=query)

    async def patch(self, path: str, body: Json | list[Json], content_type: str = MERGE_PATCH, **query: str) -> Json:
        return await self._json("PATCH", path, body, content_type, query)

    async def delete(self, path: str, body: Json | None = None, **query: str) -> Json:
        return await self._json("DELETE", path, body, query=query)

    async def text(self, path: str) -> str:
        """The body of a plain-text answer, such as /readyz."""
        async with self._open.get(path) as response:
            body = await response.text()
            if response.status >= 400:
                raise ApiRefused(response.status, {"message": body}, path)
            return body

    async def watch(self, path: str, resource_version: str = "", **query: str) -> AsyncIterator[Json]:
        """Events as they come, until the server closes the stream or the caller stops iterating."""
        parameters = query | {"watch": "true", "resourceVersion": resource_version}
        no_limit = aiohttp.ClientTimeout(total=None)
        async with self._open.get(path, params=parameters, timeout=no_limit) as response:
            if response.status >= 400:
                raise ApiRefused(response.status, _decode(await response.read()), path)
            transport = response.connection.transport if response.connection is not None else None
            try:
                async for line in response.content:
                    yield orjson.loads(line)
            finally:
                # At once: a polite TLS goodbye would outlive us, waiting for a server that has more to say.
                if transport is not None:
                    transport.abort()

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("ApiClient is used outside `async with`")
        return self._session

    async def _json(
        self,
        method: str,
        path: str,
        body: Json | list[Json] | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Json:
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": content_type} if data is not None else {}
        async with self._open.request(method, path, data=data, headers=headers, params=query) as response:
            answer = _decode(await response.read())
            if response.status >= 400:
                raise ApiRefused(response.status, answer, f"{method} {path}")
            return answer


def _decode(body: bytes) -> Json:
    try:
        answer: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"message": body.decode(errors="replace")}
    return answer


def _named(entries: list[Json], name: str) -> Json:
    return next(entry for entry in entries if entry["name"] == name)


def _present(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    # The ssl module loads a client certificate from a file only.
    with tempfile.NamedTemporaryFile(suffix=".pem") as both:
        both.write(certificate + b"\n" + key)
        both.flush()
        tls.load_cert_chain(both.name)
