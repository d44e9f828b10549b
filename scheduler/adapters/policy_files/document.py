"""Bytes to a tree of nodes with their places. Knows YAML, not what a policy is.

The tree is built from the parser's events, not by PyYAML's composer: so depth, size, duplicate keys, tags, anchors
and aliases (which explode) are refused before anything is built, and scalars keep the text that was written:
`no` stays `no`, `1:30` is no number and `010` no octal one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from scheduler.adapters.policy_files.problems import Mark, Problems

BYTES_MAX = 1_000_000
DEPTH_MAX = 12
NODES_MAX = 100_000

# libyaml's scanner is some thirty times faster than the one in Python; both give the same events.
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_SPACES = re.compile(r"\s+")
# YAML 1.1, section 5.1: what is not a printable character. libyaml would report its place in bytes.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value as it was written. `is_plain` is False where it stood in quotes or as a block."""

    mark: Mark
    text: str
    is_plain: bool

    @property
    def is_nothing(self) -> bool:
        return self.is_plain and self.text in {"", "~", "null"}


@dataclass(frozen=True, slots=True)
class Sequence:
    mark: Mark
    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Entries in the order of the file; their keys are distinct."""

    mark: Mark
    entries: "tuple[tuple[Scalar, Node], ...]"


Node = Scalar | Sequence | Mapping


def read_bytes(path: Path) -> bytes:
    """The file's bytes, no more than are needed to refuse one that is too large. Raises OSError."""
    with path.open("rb") as file:
        return file.read(BYTES_MAX + 1)


def parse(source: bytes, problems: Problems) -> Node | None:
    """The document's tree, or None with at least one problem."""
    if len(source) > BYTES_MAX:
        problems.add(Mark(), f"the file is too large; expected at most {BYTES_MAX} bytes")
        return None
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        column = error.start - source.rfind(b"\n", 0, error.start)
        problems.add(Mark(line, column), f"byte 0x{source[error.start]:02x} is not UTF-8; expected a text file")
        return None
    control = _UNPRINTABLE.search(text)
    if control is not None:
        place = Mark(text.count("\n", 0, control.start()) + 1, control.start() - text.rfind("\n", 0, control.start()))
        problems.add(place, f"the character U+{ord(control[0]):04X} cannot stand in YAML")
        return None
    try:
        return _Builder(problems).build(yaml.parse(text, Loader=_LOADER))
    except _Refused:
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Mark(mark.line + 1, mark.column + 1) if mark is not None else Mark()
        context = ", ".join(part for part in (error.context, error.problem) if part)
        problems.add(place, f"not YAML: {_SPACES.sub(' ', context)}{_hint(text, error)}")
    except yaml.YAMLError as error:
        problems.add(Mark(), f"not YAML: {_SPACES.sub(' ', str(error))}")
    return None


def _hint(text: str, error: yaml.MarkedYAMLError) -> str:
    """What it most often is, where the reader's words do not say so."""
    at, began = error.problem_mark, error.context_mark
    line = text.splitlines()[at.line] if at is not None and at.line < len(text.splitlines()) else ""
    if at is not None and line[at.column : at.column + 1] == "\t":
        return " (a tab; YAML is indented by blanks)"
    if at is not None and began is not None and began.line < at.line:
        return f" (it begins in line {began.line + 1})"
    return " (is it indented as the lines before it?)" if "mapping values" in (error.problem or "") else ""


class _Refused(Exception):
    """Reading cannot go on; the problem has been added."""


@dataclass(slots=True)
class _Open:
    """A collection that is being read. `key` is a mapping's key that waits for its value."""

    mark: Mark
    is_mapping: bool
    items: list[Node]
    entries: list[tuple[Scalar, Node]]
    keys: dict[str, Mark]
    key: Scalar | None = None


class _Builder:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._stack: list[_Open] = []
        self._root: Node | None = None
        self._nodes = 0

    def build(self, events: Iterator[yaml.Event]) -> Node | None:
        for event in events:
            match event:
                case yaml.DocumentStartEvent():
                    if self._root is not None:
                        raise self._refused(_place(event), "a second document starts here; expected one per file")
                case yaml.AliasEvent():
                    raise self._refused(_place(event), f"found the alias *{event.anchor}; expected values in full")
                case yaml.ScalarEvent():
                    self._check(event)
                    self._add(Scalar(_place(event), event.value, not event.style))
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self._check(event)
                    self._push(event)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    done = self._stack.pop()
                    self._add(
                        Mapping(done.mark, tuple(done.entries))
                        if done.is_mapping
                        else Sequence(done.mark, tuple(done.items))
                    )
        if self._root is None or (isinstance(self._root, Scalar) and self._root.is_nothing):
            raise self._refused(Mark(), "the file is empty; expected a mapping of keys to values")
        return self._root

    def _check(self, event: yaml.NodeEvent) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise self._refused(_place(event), f"more than {NODES_MAX} values; expected a smaller file")
        if event.anchor is not None:
            raise self._refused(_place(event), f"found the anchor &{event.anchor}; expected values in full")
        # The explicit tag of a node; the events' stubs leave it out of the base class.
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self._refused(_place(event), f"found the tag {tag}; expected a value without a tag")

    def _push(self, event: yaml.NodeEvent) -> None:
        if len(self._stack) == DEPTH_MAX:
            raise self._refused(_place(event), f"nested more than {DEPTH_MAX} levels deep; expected fewer")
        self._stack.append(_Open(_place(event), isinstance(event, yaml.MappingStartEvent), [], [], {}))

    def _add(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        if not parent.is_mapping:
            parent.items.append(node)
        elif parent.key is None:
            if not isinstance(node, Scalar):
                raise self._refused(node.mark, "found a collection as a key; expected a name")
            parent.key = node
        else:
            self._enter(parent, parent.key, node)
            parent.key = None

    def _enter(self, parent: _Open, key: Scalar, value: Node) -> None:
        first = parent.keys.get(key.text)
        if first is None:
            parent.keys[key.text] = key.mark
            parent.entries.append((key, value))
        else:
            self._problems.add(
                key.mark, f"the key {quoted(key.text)} stands twice, first in line {first.line}; expected it once"
            )

    def _refused(self, mark: Mark, message: str) -> _Refused:
        self._problems.add(mark, message)
        return _Refused(message)


def quoted(text: str) -> str:
    """The text as a message shows it: printable, in quotes, and not longer than a line."""
    shown = "".join(letter if letter.isprintable() else "�" for letter in text)
    return f'"{shown[:57]}…"' if len(shown) > 60 else f'"{shown}"'


def looks_like(text: str) -> str:
    """The first letter beyond ASCII as the tail of a message, or nothing: a Cyrillic Н reads as an H, and is none."""
    letter = next((letter for letter in text if not letter.isascii()), None)
    return "" if letter is None else f" (with the character U+{ord(letter):04X})"


def found(node: Node) -> str:
    """What stands there, for a message."""
    match node:
        case Scalar():
            return "nothing" if node.is_nothing else quoted(node.text)
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"


def _place(event: yaml.Event) -> Mark:
    mark = event.start_mark
    # Every event of a parser has its mark; the stubs allow for events that are made by hand.
    return Mark() if mark is None else Mark(mark.line + 1, mark.column + 1)
