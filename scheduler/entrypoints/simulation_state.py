"""The simulated company as its database keeps it: one setting."""

import base64
import zlib
from typing import Any

import orjson

from scheduler.domain.units import Instant
from scheduler.ports import Books

STATE_KEY = "simulation"
"""The setting in the store that holds what the simulation was when it was last saved."""


def packed_state(state: bytes) -> str:
    """As a setting's text."""
    return base64.b64encode(zlib.compress(state, level=1)).decode("ascii")


def unpacked_state(text: str) -> bytes:
    """The inverse; what an earlier version wrote was not packed."""
    return text.encode() if text.startswith("{") else zlib.decompress(base64.b64decode(text))


def saved_state(books: Books) -> dict[str, Any] | None:
    """What was saved last; None where these books are of no simulation."""
    saved = books.control.setting(STATE_KEY)
    if saved is None:
        return None
    state: dict[str, Any] = orjson.loads(unpacked_state(saved))
    return state


def saved_now(books: Books) -> Instant | None:
    """The instant that the simulation had come to when it was saved."""
    state = saved_state(books)
    return Instant(state["now"]) if state is not None else None
