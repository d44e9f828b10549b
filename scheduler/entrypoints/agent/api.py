"""The API as the agent needs it: two requests, and what their answers mean for what is kept."""

import logging
import ssl
import time
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from scheduler.domain.digits import whole_number_in
from scheduler.domain.units import Instant
from scheduler.entrypoints.agent.settings import AgentSettings

logger = logging.getLogger("allot.agent")

ANSWER_BYTES_MAX = 1 << 20


class Verdict(Enum):
    TAKEN = "taken"
    """The API has them now, or had them before."""
    AWAY = "away"
    """No answer, or one that says to come again: nothing is lost by waiting."""
    UNKNOWN_NODE = "unknown-node"
    """The API wants the inventory first."""
    TOO_LARGE = "too-large"
    REFUSED = "refused"
    """It will not have this body, today or tomorrow."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`refused` of what was sent will never be taken; the rest is. `retry_after_seconds` where the API named it."""

    verdict: Verdict
    refused: int = 0
    detail: str = ""
    retry_after_seconds: float | None = None


class ApiClient:
    """Reads its token from the file at the start, and again after each 401."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._token = _token(settings)
        self.taken_at: Instant | None = None
        """When the API last took anything."""
        context = None
        if settings.ca_file is not None:
            context = ssl.create_default_context(cafile=str(settings.ca_file))
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=settings.request_ms / 1_000),
            connector=aiohttp.TCPConnector(ssl=context if context is not None else True, limit=1),
        )
        self._base = f"{settings.server.rstrip('/')}/v1/nodes/{quote(settings.node, safe='')}"

    async def put_inventory(self, body: dict[str, Any]) -> Answer:
        return await self._send("PUT", "/inventory", orjson.dumps(body))

    async def post_windows(self, boot_id: str, windows: list[bytes]) -> Answer:
        """`windows` are JSON texts already, as they were kept."""
        head = orjson.dumps({"node": self._settings.node, "boot_id": boot_id})
        return await self._send("POST", "/windows", head[:-1] + b',"windows":[' + b",".join(windows) + b"]}")

    async def close(self) -> None:
        await self._session.close()

    async def _send(self, method: str, path: str, body: bytes) -> Answer:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            async with self._session.request(method, self._base + path, data=body, headers=headers) as response:
                text = await response.content.read(ANSWER_BYTES_MAX)
                return self._judge(response.status, response.headers.get("Retry-After", ""), text)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Answer(Verdict.AWAY, detail=f"{type(error).__name__}: {error}")

    def _judge(self, status: int, retry_after: str, text: bytes) -> Answer:
        detail = f"{status}: {text[:200].decode(errors='replace')}"
        if 200 <= status < 300:
            self.taken_at = Instant(time.time_ns() // 1_000_000)
            refused = _refusals(text)
            for each in refused:
                logger.error("the API refused a window: %s", each)
            return Answer(Verdict.TAKEN, refused=len(refused))
        if status == 401:
            self._token = _token(self._settings)
        if status in {401, 403, 408, 425, 429} or status >= 500:
            seconds = whole_number_in(retry_after)
            return Answer(Verdict.AWAY, detail=detail, retry_after_seconds=seconds)
        by_status = {404: Verdict.UNKNOWN_NODE, 413: Verdict.TOO_LARGE}
        return Answer(by_status.get(status, Verdict.REFUSED), detail=detail)


def _token(settings: AgentSettings) -> str:
    if settings.token_file is None:
        return ""
    try:
        return settings.token_file.read_text().strip()
    except OSError as error:
        logger.warning("the token file cannot be read: %s", error)
        return ""


def _refusals(text: bytes) -> list[Any]:
    """The windows that an accepting answer names as refused."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    refused = body.get("refused") if isinstance(body, dict) else None
    return refused if isinstance(refused, list) else []
