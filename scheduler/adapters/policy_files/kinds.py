"""The kinds of values that a file can hold: each reads a node, or says what it found and what it expected."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Generic, TypeVar

from scheduler.adapters.policy_files.document import Mapping, Node, Scalar, Sequence, found, looks_like, quoted
from scheduler.adapters.policy_files.problems import Mark, Problems

T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=StrEnum)

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_PLACES = {"teams": "the pools' teams"}
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that must be defined in another section of the file. `expected` says where."""

    target: str
    name: str
    mark: Mark
    path: str
    expected: str


@dataclass(slots=True)
class Reading:
    """What reading one file gathers beside its values."""

    problems: Problems
    references: list[Reference] = field(default_factory=list)

    def refuse(self, mark: Mark, path: str, seen: str, expected: str) -> None:
        self.problems.add(mark, f"{path}: found {seen}; expected {expected}")


class Kind(ABC, Generic[T_co]):
    """How a value is read. `expected` says what is accepted, for messages and for the documentation."""

    @property
    @abstractmethod
    def expected(self) -> str: ...

    @abstractmethod
    def read(self, node: Node, path: str, reading: Reading) -> T_co | None:
        """The value, or None after adding a problem."""


@dataclass(frozen=True, slots=True)
class Whole(Kind[int]):
    """A whole number within bounds, both inclusive. 1.0, 1e3, 0x10, "7" and true are none."""

    low: int
    high: int
    unit: str = ""

    @property
    def expected(self) -> str:
        unit = f" ({self.unit})" if self.unit else ""
        if self.low == self.high:
            return f"{self.low}{unit}"
        return f"a whole number from {self.low} to {self.high}{unit}"

    def read(self, node: Node, path: str, reading: Reading) -> int | None:
        if isinstance(node, Scalar) and node.is_plain and _WHOLE.fullmatch(node.text):
            value = int(node.text)
            if self.low <= value <= self.high:
                return value
        reading.refuse(node.mark, path, found(node), self.expected)
        return None


@dataclass(frozen=True, slots=True)
class Flag(Kind[bool]):
    @property
    def expected(self) -> str:
        return "true or false"

    def read(self, node: Node, path: str, reading: Reading) -> bool | None:
        if isinstance(node, Scalar) and node.is_plain and node.text in {"true", "false"}:
            return node.text == "true"
        reading.refuse(node.mark, path, found(node), self.expected)
        return None


@dataclass(frozen=True, slots=True)
class Choice(Kind[E]):
    """One word of a list."""

    words: type[E]

    @property
    def expected(self) -> str:
        return "one of " + ", ".join(word.value for word in self.words)

    def read(self, node: Node, path: str, reading: Reading) -> E | None:
        if isinstance(node, Scalar):
            for word in self.words:
                if word.value == node.text:
                    return word
        seen = found(node)
        if isinstance(node, Scalar):
            seen += looks_like(node.text) + did_you_mean(node.text, [word.value for word in self.words])
        reading.refuse(node.mark, path, seen, self.expected)
        return None


@dataclass(frozen=True, slots=True)
class Text(Kind[str]):
    """Text that matches a pattern from end to end; `what` names it."""

    what: str
    pattern: str = r"[^\x00-\x1f\x7f]+"
    length_max: int = 512

    @property
    def expected(self) -> str:
        return self.what

    def read(self, node: Node, path: str, reading: Reading) -> str | None:
        if isinstance(node, Scalar) and not node.is_nothing and self._accepts(node.text):
            return node.text
        reading.refuse(node.mark, path, found(node), self.expected)
        return None

    def _accepts(self, text: str) -> bool:
        return len(text) <= self.length_max and re.fullmatch(self.pattern, text) is not None


@dataclass(frozen=True, slots=True)
class Name(Kind[str]):
    """A name as Kubernetes allows it in a label's value. With a `target`, a name defined in that section."""

    target: str = ""

    @property
    def expected(self) -> str:
        if self.target:
            return f"a name from {_PLACES.get(self.target, self.target)}"
        return "a name of up to 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit"

    def read(self, node: Node, path: str, reading: Reading) -> str | None:
        if not isinstance(node, Scalar) or node.is_nothing or not _NAME.fullmatch(node.text):
            seen = found(node) + (looks_like(node.text) if isinstance(node, Scalar) else "")
            reading.refuse(node.mark, path, seen, self.expected)
            return None
        if self.target:
            reading.references.append(Reference(self.target, node.text, node.mark, path, self.expected))
        return node.text


@dataclass(frozen=True, slots=True)
class ListOf(Kind[tuple[T_co, ...]]):
    """A list of distinct values, of a stated length."""

    item: Kind[T_co]
    low: int = 1
    high: int = 10_000
    is_distinct: bool = True

    @property
    def expected(self) -> str:
        least = "a list" if self.low == 0 else f"a list of at least {self.low}"
        return f"{least}, each {self.item.expected}"

    def read(self, node: Node, path: str, reading: Reading) -> tuple[T_co, ...] | None:
        if not isinstance(node, Sequence) or not self.low <= len(node.items) <= self.high:
            seen = "an empty list" if isinstance(node, Sequence) and not node.items else found(node)
            reading.refuse(node.mark, path, seen, self.expected)
            return None
        values: list[T_co] = []
        for index, item in enumerate(node.items):
            value = self.item.read(item, f"{path}[{index}]", reading)
            if value is None:
                continue
            if self.is_distinct and value in values:
                reading.refuse(item.mark, f"{path}[{index}]", f"{found(item)} again", "each value once")
            values.append(value)
        return tuple(values)


@dataclass(frozen=True, slots=True)
class MapOf(Kind[dict[str, T_co]]):
    """A mapping of names to values of one kind. `what` names the entries in messages."""

    key: Kind[str]
    value: Kind[T_co]
    what: str
    low: int = 0
    high: int = 10_000

    @property
    def expected(self) -> str:
        least = f" with at least {self.low}" if self.low else ""
        return f"a mapping of {self.what}{least}"

    def read(self, node: Node, path: str, reading: Reading) -> dict[str, T_co] | None:
        if not isinstance(node, Mapping) or not self.low <= len(node.entries) <= self.high:
            seen = "an empty mapping" if isinstance(node, Mapping) and not node.entries else found(node)
            reading.refuse(node.mark, path, seen, self.expected)
            return None
        values: dict[str, T_co] = {}
        for key, entry in node.entries:
            name = self.key.read(key, path, reading)
            value = self.value.read(entry, f"{path}.{key.text[:63]}", reading)
            if name is not None and value is not None:
                values[name] = value
        return values


def nearest(word: str, known: list[str]) -> str | None:
    """The known word that was probably meant."""
    return next(iter(get_close_matches(word[:100], known, n=1)), None)


def did_you_mean(word: str, known: list[str]) -> str:
    """The nearest known word as the tail of a message, or nothing."""
    near = nearest(word, known)
    return "" if near is None else f" (did you mean {quoted(near)}?)"
