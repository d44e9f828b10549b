"""One resource listed in pages and then watched, for ever: through 410, broken and silent streams, and 429."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import orjson

from scheduler.adapters.kubernetes.backoff import Backoff, Jitter
from scheduler.adapters.kubernetes.connection import Answer, Connection
from scheduler.adapters.kubernetes.names import RawObject
from scheduler.domain.errors import RefusalCode, Unavailable

logger = logging.getLogger(__name__)

_LISTS_MAX: Final = 5
"""How often a list that expires between two pages is begun anew before that counts as a failure."""

_STREAM_SECONDS_MIN: Final = 1.0
"""A server that ends its streams sooner is not asked again at once."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a watch fills. `put` and `remove` take the object; `drop` a key of `held` whose object is no longer there."""

    path: str
    key: Callable[[RawObject], str]
    put: Callable[[RawObject], None]
    remove: Callable[[RawObject], None]
    held: Callable[[], Iterable[str]]
    drop: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WatchTiming:
    """`idle_seconds` exceeds the two minutes that a quiet watch of Kubernetes 1.36 takes to its first bookmark (the next
    come each minute): a longer silence is a stalled stream. A Job that is without a pod at two looks, `podless_seconds`
    apart, is asked after."""

    page_size: int = 500
    watch_seconds: int = 290
    idle_seconds: float = 150.0
    backoff_cap_seconds: float = 30.0
    podless_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class WatchListener:
    """Told by a watch: `changed` when its shelf may have something new, `contact` whether the apiserver answers it."""

    changed: Callable[[], None]
    contact: Callable[[bool], None]


class _Expired(Exception):
    """The version that we hold is no longer known (410): everything must be listed again."""


class Watch:
    """Keeps a shelf equal to what the apiserver has.

    A relist puts everything again and drops what is gone, so whoever reads the shelf sees only the differences.
    """

    def __init__(
        self,
        connection: Connection,
        shelf: Shelf,
        jitter: Jitter,
        timing: WatchTiming,
        listener: WatchListener,
    ) -> None:
        self._connection = connection
        self._shelf = shelf
        self._jitter = jitter
        self._timing = timing
        self._listener = listener
        self._version: str | None = None

    async def list(self) -> None:
        """Put everything that is there. Raises Unavailable."""
        for _ in range(_LISTS_MAX):
            try:
                await self._list_once()
            except _Expired:
                continue
            return
        raise Unavailable(
            f"the list of {self._shelf.path} expired {_LISTS_MAX} times between two pages",
            code=RefusalCode.CLUSTER_UNAVAILABLE,
        )

    def forget(self) -> None:
        """Begin with a list the next time it runs."""
        self._version = None

    async def run(self) -> None:
        """Follow the changes until cancelled."""
        backoff = Backoff(self._jitter, cap_seconds=self._timing.backoff_cap_seconds)
        while True:
            try:
                if self._version is None:
                    await self.list()
                began = asyncio.get_running_loop().time()
                await self._follow(backoff)
                if asyncio.get_running_loop().time() - began < _STREAM_SECONDS_MIN:
                    await asyncio.sleep(backoff.failed())
            except _Expired:
                self._version = None
                await asyncio.sleep(backoff.failed())  # every client of a restarted apiserver lists anew
            except Unavailable as error:
                self._listener.contact(False)
                if backoff.failures == 0:  # once per outage, however long it lasts
                    logger.warning("watch of %s: %s; trying again until it answers", self._shelf.path, error.message)
                await asyncio.sleep(backoff.failed())
            except Exception:  # the outermost guard of this loop: what one object did must not blind us for good
                logger.exception("watch of %s: an object could not be taken in; listing anew", self._shelf.path)
                self._version = None
                await asyncio.sleep(backoff.failed())

    async def _list_once(self) -> None:
        seen: set[str] = set()
        params = {"limit": str(self._timing.page_size)}
        while True:
            page = await self._page(params)
            for raw in page.get("items") or ():
                seen.add(self._shelf.key(raw))
                self._shelf.put(raw)
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                break
            params["continue"] = metadata["continue"]
        for key in [key for key in self._shelf.held() if key not in seen]:
            self._shelf.drop(key)
        self._version = metadata.get("resourceVersion")
        self._listener.contact(True)
        self._listener.changed()

    async def _page(self, params: dict[str, str]) -> RawObject:
        answer = await self._connection.request("GET", self._shelf.path, params=params)
        if answer.status == 410:
            raise _Expired
        if not answer.is_success:
            raise refused(self._shelf.path, answer)
        page: RawObject = orjson.loads(answer.body)
        return page

    async def _follow(self, backoff: Backoff) -> None:
        """One watch, until the server ends it. The length is jittered so that all watches do not end together."""
        watch_seconds = int(self._timing.watch_seconds * (1 + self._jitter()))
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version or "",
            "timeoutSeconds": str(watch_seconds),
        }
        async with self._connection.lines(self._shelf.path, params, self._timing.idle_seconds) as (answer, lines):
            if answer is not None:
                if answer.status == 410:
                    raise _Expired
                raise refused(self._shelf.path, answer)
            self._listener.contact(True)
            async for line in lines:
                self._take(orjson.loads(line))
                backoff.succeeded()

    def _take(self, event: RawObject) -> None:
        raw = event["object"]
        kind = event["type"]
        if kind == "ERROR":
            if raw.get("code") == 410:
                raise _Expired
            raise Unavailable(f"{raw.get('reason')}: {raw.get('message')}", code=RefusalCode.CLUSTER_UNAVAILABLE)
        if kind == "DELETED":
            self._shelf.remove(raw)
        elif kind != "BOOKMARK":
            self._shelf.put(raw)
        self._version = raw["metadata"]["resourceVersion"]
        self._listener.changed()


def refused(path: str, answer: Answer) -> Unavailable:
    """An answer that is no success, as the reason why the cluster cannot be used now."""
    message = status_message(answer)
    if answer.status == 401:
        return Unavailable(
            f"the Kubernetes API does not know us: {message}",
            code=RefusalCode.KUBECONFIG_INVALID,
            remedy="the credentials have expired or belong to another cluster; get fresh ones",
        )
    if answer.status == 403:
        return Unavailable(
            f"the Kubernetes API forbids {path}: {message}",
            code=RefusalCode.CLUSTER_UNAVAILABLE,
            remedy="apply manifests/ to give allot its rights; `allot doctor` lists what is missing",
        )
    return Unavailable(f"GET {path} answered {answer.status}: {message}", code=RefusalCode.CLUSTER_UNAVAILABLE)


def status_message(answer: Answer) -> str:
    """The message of a Status object, or the beginning of whatever came instead, on one line."""
    try:
        message = orjson.loads(answer.body).get("message") or ""
    except (orjson.JSONDecodeError, AttributeError):
        message = answer.body[:200].decode(errors="replace")
    return " ".join(str(message).split())
