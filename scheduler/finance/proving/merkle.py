"""Merkle trees as RFC 9162 (Certificate Transparency 2.0) hashes them: section 2.1. Pure, over SHA-256.

Leaves are hashed under the prefix 0x00 and inner nodes under 0x01, so that neither can pass for the other. Many leaf
hashes are kept as one `bytes`, 32 each: a million of them is a string of 32 MB and not a million objects.
"""

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
LEAF, NODE = b"\x00", b"\x01"
EMPTY_ROOT = sha256(b"").digest()
LEVELS_MAX = 63
"""No tree of ours has 2⁶³ leaves: a proof of more steps is none."""


def leaf_hash(content: bytes) -> bytes:
    return sha256(LEAF + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(NODE + left + right).digest()


class Frontier:
    """The right edge of a growing tree: for every level the one node that waits for its right sibling, or nothing.

    It is all that is needed to append, and to say the root: some hashes for a million leaves.
    """

    def __init__(self, size: int = 0, waiting: Sequence[bytes] = ()) -> None:
        """`waiting` from the lowest level up, one for each bit that is set in `size`."""
        assert len(waiting) == size.bit_count(), "a frontier has a node for each bit of its size"
        self.size = size
        self._levels: list[bytes] = []
        rest = iter(waiting)
        for level in range(size.bit_length()):
            self._levels.append(next(rest) if size >> level & 1 else b"")

    @property
    def waiting(self) -> tuple[bytes, ...]:
        return tuple(node for node in self._levels if node)

    def append(self, leaves: bytes) -> None:
        """Add leaf hashes, 32 bytes each, all levels in bulk."""
        assert len(leaves) % HASH_BYTES == 0, "leaf hashes are 32 bytes each"
        self.size += len(leaves) // HASH_BYTES
        nodes, level = leaves, 0
        while nodes:
            if level == len(self._levels):
                self._levels.append(b"")
            nodes = self._levels[level] + nodes
            is_odd = len(nodes) // HASH_BYTES % 2
            self._levels[level] = nodes[-HASH_BYTES:] if is_odd else b""
            nodes = _parents(nodes[: len(nodes) - HASH_BYTES * is_odd])
            level += 1

    def root(self) -> bytes:
        """The root over everything appended so far."""
        root = b""
        for node in self.waiting:
            root = node_hash(node, root) if root else node
        return root or EMPTY_ROOT


def root_of(leaves: bytes) -> bytes:
    """The root over these leaf hashes."""
    frontier = Frontier()
    frontier.append(leaves)
    return frontier.root()


def inclusion_proof(leaves: bytes, index: int) -> list[bytes]:
    """The path that leads from a leaf to the root: its siblings, the lowest first (RFC 9162, 2.1.3.1)."""
    size = len(leaves) // HASH_BYTES
    assert 0 <= index < size, "there is no such leaf"
    path: list[bytes] = []
    while size > 1:
        split = _split(size) * HASH_BYTES
        if index * HASH_BYTES < split:
            path.append(root_of(leaves[split:]))
            leaves = leaves[:split]
        else:
            path.append(root_of(leaves[:split]))
            leaves = leaves[split:]
            index -= split // HASH_BYTES
        size = len(leaves) // HASH_BYTES
    return path[::-1]


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the path proves that the leaf is the one of that index in the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or len(path) > LEVELS_MAX:
        return False
    place, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = node_hash(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and node == root


def consistency_proof(leaves: bytes, earlier: int) -> list[bytes]:
    """What proves that the tree of the first `earlier` leaves is the beginning of this one (RFC 9162, 2.1.4.1)."""
    size = len(leaves) // HASH_BYTES
    assert 0 < earlier <= size, "an earlier tree is no larger, and not empty"
    path: list[bytes] = []
    is_whole = True
    while earlier < size:
        split = _split(size)
        left, right = leaves[: split * HASH_BYTES], leaves[split * HASH_BYTES :]
        if earlier <= split:
            path.append(root_of(right))
            leaves = left
        else:
            path.append(root_of(left))
            leaves, earlier, is_whole = right, earlier - split, False
        size = len(leaves) // HASH_BYTES
    if not is_whole:
        path.append(root_of(leaves))
    return path[::-1]


def is_consistent(earlier: int, later: int, path: Sequence[bytes], earlier_root: bytes, later_root: bytes) -> bool:
    """Whether the path proves that the later tree extends the earlier (RFC 9162, 2.1.4.2)."""
    if not 0 < earlier <= later or len(path) > LEVELS_MAX:
        return False
    if earlier == later:
        return not path and earlier_root == later_root
    steps = [earlier_root, *path] if earlier.bit_count() == 1 else list(path)
    if not steps:
        return False
    place, last = earlier - 1, later - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = steps[0]
    for node in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, node)
        place, last = place >> 1, last >> 1
    return last == 0 and first == earlier_root and second == later_root


def _parents(nodes: bytes) -> bytes:
    """The level above, of an even number of nodes."""
    pairs = range(0, len(nodes), 2 * HASH_BYTES)
    return b"".join([sha256(NODE + nodes[at : at + 2 * HASH_BYTES]).digest() for at in pairs])


def _split(size: int) -> int:
    """The largest power of two below the size: where RFC 9162 divides a tree."""
    return 1 << (size - 1).bit_length() - 1
