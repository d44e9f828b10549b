"""Proofs that stand alone: one row, or the growth from one head to a later, checked with the public key and nothing else.

A proof of a row carries the row in its canonical form, the path to the root, and the signed head that has the root. A
sealed row (an attempt, say) is proven by its seal: the digest stands in a row of `seals`, and that row is proven.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.finance.proving.chain import Chain
from scheduler.finance.proving.endorsement import Endorsement, IsSigned, leads, parse_endorsements
from scheduler.finance.proving.heads import Head, Unreadable, parse_head
from scheduler.finance.proving.merkle import (
    HASH_BYTES,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    is_included,
    leaf_hash,
)
from scheduler.finance.proving.ports import Evidence
from scheduler.finance.proving.relations import SEALED, SEALS, TREES, Relation, Values, canonical_rows
from scheduler.finance.proving.takeaway import once

ROW_FORMAT, GROWTH_FORMAT = "allot-row-proof/1", "allot-growth-proof/1"
_TREES = {tree.name: tree for tree in TREES}
_SEALED = {relation.name: relation for relation in SEALED}


@dataclass(frozen=True, slots=True)
class Checked:
    """What a proof proves, in a sentence, and by whose key; or why it proves nothing."""

    is_ok: bool
    sentence: str
    key: str = ""
    at: int | None = None


def prove_row(evidence: Evidence, chain: Chain, table: str, key: str) -> dict[str, object]:
    """The proof of a row under the last head. Raises NotFound where there is no such row, or no head over it yet."""
    sealed = _SEALED.get(table)
    tree = SEALS if sealed is not None else _TREES.get(table)
    head = chain.last
    if tree is None or head is None:
        raise _not_found(f"no row of {table!r} can be proven", "one of " + ", ".join([*_TREES, *_SEALED]))
    proof: dict[str, object] = {}
    if sealed is not None:
        content = canonical_rows(sealed, [_row(evidence, sealed, 0, key)])[0]
        proof = {"sealed": _text(content)}
        row = _last_seal(evidence, table, key)
    else:
        row = _row(evidence, tree, 0, key)
    number, size = row[0], head.size(tree.name)
    if type(number) is not int or not 1 <= number <= size:
        raise _not_found(f"no head is over {table} {key} yet", "a row that a head is over: see `allot audit verify`")
    path = inclusion_proof(chain.leaves.get(tree.name, b"")[: size * HASH_BYTES], number - 1)
    return {
        "format": ROW_FORMAT,
        "table": table,
        "row": key,
        **proof,
        "tree": tree.name,
        "leaf": _text(canonical_rows(tree, [row[: len(tree.columns)]])[0]),
        "index": number - 1,
        "path": [node.hex() for node in path],
        "head": head.text(),
        **_endorsed(chain),
    }


def prove_growth(chain: Chain, earlier: int, later: int) -> dict[str, object]:
    """The proof that the trees of one head are the beginning of those of another. Raises NotFound."""
    heads = {head.number: head for head in chain.heads}
    if not (earlier in heads and later in heads and earlier <= later):
        raise _not_found(f"there are no heads {earlier} and {later}", f"two of 1 to {len(heads)}, the earlier first")
    first, second = heads[earlier], heads[later]
    paths = {}
    for name, tree in first.trees.items():
        leaves = chain.leaves.get(name, b"")[: second.size(name) * HASH_BYTES]
        paths[name] = [node.hex() for node in consistency_proof(leaves, tree.size)] if tree.size else []
    return {"format": GROWTH_FORMAT, "earlier": first.text(), "later": second.text(), "paths": paths} | _endorsed(
        chain
    )


def _endorsed(chain: Chain) -> dict[str, object]:
    """What leads from an earlier key of the company's to a later, where there was more than one."""
    return {"endorsements": [each.fields() for each in chain.endorsements]} if chain.endorsements else {}


def check(text: str, is_signed: IsSigned, trusted: bytes | None) -> Checked:
    """Whether a proof holds, of whichever kind; never raises for what is in it."""
    try:
        proof = json.loads(text, object_pairs_hook=once)
        kind = proof["format"]
        if kind == ROW_FORMAT:
            return _check_row(proof, is_signed, trusted)
        if kind == GROWTH_FORMAT:
            return _check_growth(proof, is_signed, trusted)
    except (Unreadable, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        return Checked(False, f"it is no proof: {type(error).__name__} {error}")
    return Checked(False, f"it is no proof of a kind that we know: {kind!r}")


def _check_row(proof: dict[str, Any], is_signed: IsSigned, trusted: bytes | None) -> Checked:
    head = _trusted_head(proof["head"], is_signed, trusted, _endorsements(proof))
    tree, leaf = proof["tree"], _bytes(proof["leaf"])
    if not leaf.startswith(f'"{tree}"\n'.encode()):
        return Checked(False, f"its leaf is no row of {tree}")
    path = [bytes.fromhex(node) for node in proof["path"]]
    size, root = head.size(tree), bytes.fromhex(head.trees[tree].root)
    index = int(proof["index"])
    if not is_included(leaf_hash(leaf), index, size, path, root):
        return Checked(False, "its path does not lead to the signed root", head.key)
    if "sealed" in proof:
        content = _bytes(proof["sealed"])
        _, _, relation, key, digest = (json.loads(line) for line in leaf.decode().split("\n"))
        is_of_it = content.startswith(f'"{relation}"\n{json.dumps(key, ensure_ascii=False)}'.encode())
        if not is_of_it or sha256(content).hexdigest() != digest or tree != SEALS.name:
            return Checked(False, "the row is not the one that was sealed", head.key)
    if not _is_called(proof):
        return Checked(False, f"the row is not {proof['table']} {proof['row']}", head.key)
    sentence = f"the row stood in the database under head {head.number}, as it is written here"
    return Checked(True, sentence, head.key, head.at)


def _is_called(proof: Mapping[str, Any]) -> bool:
    """Whether the row is the one that the proof's `table` and `row` name: nothing else that is proven says so."""
    sealed = _SEALED.get(proof["table"])
    relation = sealed if sealed is not None else _TREES[proof["table"]]
    if (sealed is not None) != ("sealed" in proof):
        return False
    content = str(proof["leaf"] if sealed is None else proof["sealed"])
    table, *values = (json.loads(line) for line in content.split("\n"))
    names = {str(values[0])}
    place = relation.columns.index(relation.shown) if relation.shown else 0
    if place < len(values):
        names.add(str(values[place]))
    return table == relation.name and proof["row"] in names


def _check_growth(proof: dict[str, Any], is_signed: IsSigned, trusted: bytes | None) -> Checked:
    endorsements = _endorsements(proof)
    earlier = _trusted_head(proof["earlier"], is_signed, trusted, endorsements)
    later = _trusted_head(proof["later"], is_signed, bytes.fromhex(earlier.key), endorsements)
    paths: dict[str, Sequence[str]] = dict(proof["paths"])
    for name, tree in earlier.trees.items():
        path = [bytes.fromhex(node) for node in paths.get(name, ())]
        roots = bytes.fromhex(tree.root), bytes.fromhex(later.trees[name].root)
        if tree.size and not is_consistent(tree.size, later.size(name), path, *roots):
            return Checked(False, f"the tree {name} of head {later.number} does not extend the earlier", later.key)
    sentence = f"head {later.number} extends head {earlier.number}: nothing under it was changed or taken away"
    return Checked(True, sentence, later.key, later.at)


def _endorsements(proof: dict[str, Any]) -> tuple[Endorsement, ...]:
    return parse_endorsements(proof.get("endorsements", []))


def _trusted_head(text: str, is_signed: IsSigned, trusted: bytes | None, endorsements: Sequence[Endorsement]) -> Head:
    head = parse_head(text)
    if trusted is not None and not leads(trusted.hex(), head.key, endorsements, is_signed):
        raise Unreadable("its head was signed with another key")
    if not is_signed(bytes.fromhex(head.key), bytes.fromhex(head.signature), head.message()):
        raise Unreadable("the signature of its head does not hold")
    return head


def _row(evidence: Evidence, relation: Relation, column: int, key: str) -> Values:
    """The row whose key, or else whose name, is that text."""
    named = relation.columns.index(relation.shown) if relation.shown else column
    for rows in evidence.rows(relation):
        for row in rows:
            if str(row[column]) == key or str(row[named]) == key:
                return row[: len(relation.columns)]
    raise _not_found(f"there is no row {key!r} in {relation.name}", f"a value of {relation.key} or {relation.shown}")


def _last_seal(evidence: Evidence, table: str, key: str) -> Values:
    found: Values | None = None
    for rows in evidence.rows(SEALS):
        found = next((row for row in reversed(rows) if (row[1], row[2]) == (table, key)), found)
    if found is None:
        raise _not_found(f"{table} {key} is not final: it was not sealed yet", "a row that has come to its end")
    return found


def _not_found(message: str, expected: str) -> NotFound:
    return NotFound(message, code=RefusalCode.UNKNOWN_ROW, expected=expected)


def _text(content: bytes) -> str:
    """Bytes that are no text are shown as such: a row that has them is none of ours, and its proof does not hold."""
    return content.decode("utf-8", "replace")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
