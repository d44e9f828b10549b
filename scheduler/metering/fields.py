"""The keys of one JSON object of an agent, read strictly: anything else than the right type and range names its key."""

from collections.abc import Mapping
from typing import Any

from scheduler.domain.errors import InvalidInput, RefusalCode

INTEGER_MAX = 2**62
"""Above any figure that a device could give in the lifetime of a node, and within a signed 64-bit column."""

TEXT_MAX = 256


class Fields:
    """The keys of one JSON object, each read once and checked."""

    def __init__(self, body: object, where: str) -> None:
        if not isinstance(body, Mapping):
            raise invalid(where, f"a {type(body).__name__}", "an object")
        self._body = body
        self._where = where
        self._read: set[str] = set()

    def has(self, key: str) -> bool:
        return key in self._body

    def integer(self, key: str, most: int = INTEGER_MAX) -> int:
        return integer(self._name(key), self._take(key), most)

    def count(self, *names: str) -> int:
        """Under its name, or one that older agents have for it; 0 where it was left out."""
        return next((self.integer(name) for name in names if self.has(name)), 0)

    def maybe_integer(self, key: str, most: int = INTEGER_MAX) -> int | None:
        value = self._take(key)
        return None if value is None else integer(self._name(key), value, most)

    def maybe_flag(self, key: str) -> bool | None:
        value = self._take(key)
        if value is None or isinstance(value, bool):
            return value
        raise invalid(self._name(key), repr(value)[:80], "true, false or null")

    def text(self, key: str) -> str:
        return text(self._name(key), self._take(key))

    def maybe_text(self, key: str) -> str | None:
        return None if self._body.get(key) is None and self._take(key) is None else self.text(key)

    def one_of(self, key: str, values: list[str]) -> str:
        return one_of(self._name(key), self._take(key), values)

    def part(self, key: str) -> "Fields | None":
        value = self._take(key)
        return None if value is None else Fields(value, self._name(key))

    def values(self, key: str) -> list[object] | None:
        value = self._take(key)
        if value is None or isinstance(value, list):
            return value
        raise invalid(self._name(key), repr(value)[:80], "a list or null")

    def refuse_others(self) -> None:
        others = sorted(str(key) for key in self._body.keys() - self._read)
        if others:
            raise invalid(self._where, f"unknown key {others[0]!r}", "none but the documented keys")

    def _take(self, key: str) -> Any:
        if key not in self._body:
            raise invalid(self._name(key), "nothing", "the key, with null where the value is absent")
        self._read.add(key)
        return self._body[key]

    def _name(self, key: str) -> str:
        return f"{self._where}.{key}"


def integer(where: str, value: object, most: int = INTEGER_MAX) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise invalid(where, repr(value)[:80], f"an integer from 0 to {most}")
    return value


def text(where: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX or not value.isprintable():
        raise invalid(where, repr(value)[:80], f"a text of 1 to {TEXT_MAX} printable characters")
    return value


def one_of(where: str, value: object, values: list[Any]) -> str:
    if not isinstance(value, str) or value not in values:
        raise invalid(where, repr(value)[:80], "one of " + ", ".join(values))
    return value


def invalid(where: str, found: str, expected: str) -> InvalidInput:
    return InvalidInput(f"found {found}", code=RefusalCode.INVALID_SAMPLE, where=where, expected=expected)
