"""JSON bodies as they are read: a key stands there once.

RFC 8259 leaves open what an object with a key twice means, and readers differ: a gateway that checks the first `gpus` and
a service that takes the last do not speak of the same request. So there is no such request.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute, APIRouter


class OnceKeyed(APIRoute):
    """A route that refuses a JSON body in which an object has a key twice, whatever the key is."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            return await handle(_OnceKeyedRequest(request.scope, request.receive))

        return handled


def api_router(prefix: str = "", *, tags: list[str]) -> APIRouter:
    """A router of the API: its routes read bodies strictly."""
    return APIRouter(prefix=prefix, tags=list(tags), route_class=OnceKeyed)


class _OnceKeyedRequest(Request):
    async def json(self) -> Any:
        """Raises json.JSONDecodeError, which FastAPI passes on as what is wrong with the body."""
        return read_once_keyed(await self.body())


def read_once_keyed(text: bytes) -> Any:
    """The value of a JSON body; NaN and infinities pass. Raises json.JSONDecodeError where it is none or repeats a key,
    UnicodeDecodeError where it is no UTF-8: Python's reader would take UTF-16, too, which others on the way do not."""
    try:
        return json.loads(text.decode("utf-8-sig"), object_pairs_hook=_once)
    except RecursionError as error:
        raise json.JSONDecodeError("it is nested too deeply", "", 0) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise json.JSONDecodeError(f"the key {twice[:60]!r} stands there twice", "", 0)
    return found
