"""RFC 9162's trees, against its own definitions written out, and the vectors of the Certificate Transparency project."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.finance.proving.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    is_included,
    leaf_hash,
    root_of,
)

CT_INPUTS = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    bytes(range(0x50, 0x58)),
    bytes(range(0x60, 0x70)),
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The roots over the first 1 to 8 inputs, as google/certificate-transparency tests them."""


def defined_root(contents: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, word by word."""
    if not contents:
        return sha256(b"").digest()
    if len(contents) == 1:
        return sha256(b"\x00" + contents[0]).digest()
    split = 1
    while split * 2 < len(contents):
        split *= 2
    return sha256(b"\x01" + defined_root(contents[:split]) + defined_root(contents[split:])).digest()


def hashes(contents: list[bytes]) -> bytes:
    return b"".join(map(leaf_hash, contents))


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert root_of(hashes(CT_INPUTS[:size])).hex() == CT_ROOTS[size - 1]


@given(st.lists(st.integers(0, 40), max_size=6))
def test_a_tree_that_grows_in_pieces_has_the_root_that_the_definition_gives(pieces: list[int]) -> None:
    frontier = Frontier()
    contents: list[bytes] = []
    for piece in pieces:
        added = [f"{len(contents) + n}".encode() for n in range(piece)]
        contents += added
        frontier.append(hashes(added))
        frontier = Frontier(frontier.size, frontier.waiting)  # as it comes back from where it was kept
        assert frontier.root() == defined_root(contents)
        assert frontier.size == len(contents)


@given(st.integers(1, 70), st.data())
def test_an_inclusion_proof_holds_for_its_leaf_place_and_tree_alone(size: int, data: st.DataObject) -> None:
    leaves = hashes([f"{n}".encode() for n in range(size)])
    index = data.draw(st.integers(0, size - 1))
    leaf, root, path = leaf_hash(f"{index}".encode()), root_of(leaves), inclusion_proof(leaves, index)
    assert is_included(leaf, index, size, path, root)
    assert not is_included(leaf_hash(b"other"), index, size, path, root)
    assert not is_included(leaf, index + 1, size, path, root)
    assert not is_included(leaf, index, size, path, leaf_hash(b"other"))
    assert not is_included(leaf, index, size, [*path, root], root)
    if path:
        assert not is_included(leaf, index, size, path[:-1], root)


@given(st.integers(1, 70), st.data())
def test_a_consistency_proof_holds_for_its_two_trees_alone(later: int, data: st.DataObject) -> None:
    leaves = hashes([f"{n}".encode() for n in range(later)])
    earlier = data.draw(st.integers(1, later))
    first, second = root_of(leaves[: earlier * 32]), root_of(leaves)
    path = consistency_proof(leaves, earlier)
    assert is_consistent(earlier, later, path, first, second)
    rewritten = bytearray(leaves)
    rewritten[data.draw(st.integers(0, earlier * 32 - 1))] ^= 1
    assert not is_consistent(earlier, later, path, first, root_of(bytes(rewritten)))
    assert not is_consistent(earlier, later, [*path, first], first, second)
    assert not is_consistent(later + 1, later, path, first, second)


def test_a_leaf_never_passes_for_a_node() -> None:
    leaves = hashes([b"a", b"b"])
    assert leaf_hash(leaves) != root_of(leaves)
