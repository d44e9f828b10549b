"""Signed heads: what is published of the journal outside the database, at intervals, and read back by a verifier.

A head says how many rows every tree had and their Merkle root, carries the hash of the head before it, and is signed
(Ed25519). Beside it lie the leaf hashes that are new since the head before: with them a verifier can name the row that
differs, and not only say that one does.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TypeVar

from scheduler.domain.units import Instant
from scheduler.finance.proving.endorsement import Endorsement, parse_endorsements
from scheduler.finance.proving.merkle import HASH_BYTES, Frontier

T = TypeVar("T")

FORMAT = "allot-head/1"
_NAME = re.compile(r"head-(\d{8})\.(json|leaves)")


class Unreadable(ValueError):
    """What was to be verified cannot be read: a finding for the verifier, whatever it is."""


@dataclass(frozen=True, slots=True)
class TreeHead:
    """`root` in hex."""

    size: int
    root: str


@dataclass(frozen=True, slots=True)
class Head:
    """`previous` is the SHA-256 of the text of the head before, `leaves` that of its own leaf file, all in hex.

    `endorsements` lead from the key of the head before to `key`, where that is another.
    """

    number: int
    at: Instant
    trees: Mapping[str, TreeHead]
    previous: str
    leaves: str
    key: str
    signature: str = ""
    endorsements: tuple[Endorsement, ...] = ()

    def message(self) -> bytes:
        """What is signed: everything but the signature, as JSON with sorted keys and without blanks."""
        return _compact(self._fields()).encode()

    def text(self) -> str:
        """The file's content."""
        return _compact(self._fields() | {"signature": self.signature}) + "\n"

    def signed(self, signature: bytes) -> "Head":
        return replace(self, signature=signature.hex())

    def size(self, tree: str) -> int:
        known = self.trees.get(tree)
        return 0 if known is None else known.size

    def _fields(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "number": self.number,
            "at": self.at,
            "trees": {name: {"size": tree.size, "root": tree.root} for name, tree in self.trees.items()},
            "previous": self.previous,
            "leaves": self.leaves,
            "key": self.key,
        } | ({"endorsements": [each.fields() for each in self.endorsements]} if self.endorsements else {})


@dataclass(frozen=True, slots=True)
class KeyNow:
    """The public key that signs now, and what leads to it from the key of the head before."""

    public: bytes
    endorsements: tuple[Endorsement, ...] = ()


def next_head(
    before: Head | None, frontiers: Mapping[str, Frontier], new_leaves: Mapping[str, bytes], at: Instant, key: KeyNow
) -> tuple[Head, bytes]:
    """The head after `before`, not yet signed, and its leaf file. `frontiers` hold the new leaves already."""
    content = b"".join(new_leaves.get(name, b"") for name in sorted(frontiers))
    head = Head(
        number=1 if before is None else before.number + 1,
        at=at,
        trees={name: TreeHead(frontier.size, frontier.root().hex()) for name, frontier in sorted(frontiers.items())},
        previous="" if before is None else sha256(before.text().encode()).hexdigest(),
        leaves=sha256(content).hexdigest(),
        key=key.public.hex(),
        endorsements=key.endorsements,
    )
    return head, content


def split_leaves(before: Head | None, head: Head, content: bytes) -> dict[str, bytes]:
    """The new leaves of each tree. Raises Unreadable where the file is not as long as the head says."""
    parts, at = {}, 0
    for name in sorted(head.trees):
        grown = head.trees[name].size - (0 if before is None else before.size(name))
        if grown < 0:
            raise Unreadable(f"the tree {name} shrank by {-grown} rows")
        parts[name] = content[at : at + grown * HASH_BYTES]
        at += grown * HASH_BYTES
    if at != len(content):
        raise Unreadable(f"its leaf file has {len(content)} bytes where {at} were published")
    return parts


def waiting_text(waiting: Mapping[str, Sequence[bytes]]) -> str:
    """The frontiers of the trees as the database keeps them, so that the next head need not read every leaf."""
    return _compact({name: [node.hex() for node in nodes] for name, nodes in waiting.items()})


def frontiers_from(head: Head, waiting: str) -> dict[str, Frontier]:
    """The trees as that head left them."""
    nodes = json.loads(waiting)
    return {
        name: Frontier(tree.size, [bytes.fromhex(node) for node in nodes[name]]) for name, tree in head.trees.items()
    }


def head_file(number: int) -> str:
    return f"head-{number:08d}.json"


def leaf_file(number: int) -> str:
    return f"head-{number:08d}.leaves"


def numbers_in(names: Sequence[str]) -> list[int]:
    """The numbers of the heads among files of these names, each once; other files are no business of ours."""
    return sorted({int(found[1]) for name in names if (found := _NAME.fullmatch(name)) is not None})


def parse_head(text: str) -> Head:
    """A head as it was published. Raises Unreadable for everything else."""
    try:
        found = json.loads(text)
        trees = {
            _is(str, name): TreeHead(_size(tree["size"]), _hex(tree["root"], 32))
            for name, tree in found["trees"].items()
        }
        head = Head(
            number=_is(int, found["number"]),
            at=Instant(_is(int, found["at"])),
            trees=trees,
            previous=_hex(found["previous"], 32) if found["previous"] != "" else "",
            leaves=_hex(found["leaves"], 32),
            key=_hex(found["key"], 32),
            signature=_hex(found["signature"], 64),
            endorsements=parse_endorsements(found.get("endorsements", [])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"it is no head: {type(error).__name__} {error}") from error
    if head.text() != text:
        raise Unreadable("it is not written as heads are")
    return head


def _compact(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _is(kind: type[T], value: object) -> T:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}")
    return value


def _size(value: object) -> int:
    number = _is(int, value)
    if not 0 <= number < 2**53:
        raise ValueError("no size of a tree")
    return number


def _hex(value: object, length: int) -> str:
    text = _is(str, value)
    if len(text) != 2 * length or bytes.fromhex(text).hex() != text:
        raise ValueError(f"expected {length} bytes in hex")
    return text
