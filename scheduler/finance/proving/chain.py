"""The published heads as a chain: read, checked for themselves, and joined to the leaf hashes of every tree."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from scheduler.domain.errors import Refusal
from scheduler.finance.proving.endorsement import Endorsement, IsSigned, leads
from scheduler.finance.proving.findings import Finding, FindingCode
from scheduler.finance.proving.heads import (
    Head,
    Unreadable,
    head_file,
    leaf_file,
    numbers_in,
    parse_head,
    split_leaves,
    waiting_text,
)
from scheduler.finance.proving.merkle import Frontier
from scheduler.finance.proving.ports import HeadArchive
from scheduler.finance.proving.relations import Values


@dataclass
class Chain:
    """`heads` are those that hold, in order; `leaves` the leaf hashes that they publish together, by tree."""

    heads: list[Head] = field(default_factory=list)
    leaves: dict[str, bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    waiting: dict[int, dict[str, tuple[bytes, ...]]] = field(default_factory=dict)
    """The frontiers at each head, by its number."""
    keys: list[tuple[int, str]] = field(default_factory=list)
    """Which key signed from which head on, oldest first."""
    endorsements: list[Endorsement] = field(default_factory=list)
    """What led from each to the next."""
    is_whole: bool = True
    """False from the first leaf file on that is missing or not as published: what follows it has no known place."""

    @property
    def last(self) -> Head | None:
        return self.heads[-1] if self.heads else None

    def off(self, code: FindingCode, number: int, detail: str) -> None:
        self.findings.append(Finding(code, detail, head=number))


def read_chain(archive: HeadArchive, is_signed: IsSigned, trusted: bytes | None) -> Chain:
    """Read every head there is. What does not hold is a finding, and what follows it is still looked at.

    The first key is the first head's, and each later one was endorsed by the one before it. One of them has to be the
    `trusted` one: every head carries the hash of the one before, so who signs a later head vouches for the earlier. Where
    none is given, the heads prove that they come from one hand, and whose that is has to be known otherwise.
    """
    chain = Chain()
    frontiers: dict[str, Frontier] = defaultdict(Frontier)
    pieces: dict[str, list[bytes]] = defaultdict(list)
    for number in _numbers(chain, archive):
        head = _read_head(chain, archive, number)
        if head is None:
            chain.is_whole = False
            continue
        _check_key(chain, head, number, is_signed)
        _check_head(chain, head, number, is_signed)
        for name, part in _read_leaves(chain, archive, head).items():
            frontiers[name].append(part)
            pieces[name].append(part)
        if chain.is_whole:
            _check_roots(chain, head, frontiers)
            chain.waiting[number] = {name: frontiers[name].waiting for name in head.trees}
        chain.heads.append(head)
    chain.leaves = {name: b"".join(parts) for name, parts in pieces.items()}
    if trusted is not None and chain.keys and trusted.hex() not in {key for _, key in chain.keys}:
        chain.off(FindingCode.HEAD_FORGED, chain.keys[0][0], "no head was signed with the key that was given")
    return chain


def _numbers(chain: Chain, archive: HeadArchive) -> Iterator[int]:
    """The heads that there are, in order. A gap is one finding, however wide: any name can be given to a file."""
    expected = 1
    for number in numbers_in(archive.names()):
        if number < expected:  # heads are counted from 1
            continue
        if number > expected:
            chain.is_whole = False
            missing = head_file(expected) if number == expected + 1 else f"{head_file(expected)} to {number - 1}"
            chain.off(FindingCode.HEAD_MISSING, expected, f"{missing} is not there")
        yield number
        expected = number + 1


def _read_head(chain: Chain, archive: HeadArchive, number: int) -> Head | None:
    content = _content(chain, archive, head_file(number), number)
    if content is None:
        return None
    try:
        return parse_head(content.decode())
    except (Unreadable, UnicodeDecodeError) as error:
        chain.off(FindingCode.HEAD_FORGED, number, f"{head_file(number)}: {error}")
        return None


def _content(chain: Chain, archive: HeadArchive, name: str, number: int) -> bytes | None:
    try:
        content = archive.get(name)
    except Refusal as refusal:
        chain.off(FindingCode.UNREADABLE, number, f"{name}: {refusal.message}")
        return None
    if content is None:
        chain.off(FindingCode.HEAD_MISSING, number, f"{name} is not there")
    return content


def _check_key(chain: Chain, head: Head, number: int, is_signed: IsSigned) -> None:
    """The key is that of the head before, or was endorsed by it. One that was not is never trusted further on."""
    before = chain.keys[-1][1] if chain.keys else head.key
    if not chain.keys:
        chain.keys.append((number, head.key))
    elif head.key != before:
        if leads(before, head.key, head.endorsements, is_signed):
            chain.keys.append((number, head.key))
            chain.endorsements += head.endorsements
        else:
            chain.off(FindingCode.HEAD_FORGED, number, f"it was signed with another key, {head.key[:16]}…")


def _check_head(chain: Chain, head: Head, number: int, is_signed: IsSigned) -> None:
    before = chain.last
    if not is_signed(bytes.fromhex(head.key), bytes.fromhex(head.signature), head.message()):
        chain.off(FindingCode.HEAD_FORGED, number, "its signature does not hold")
    if head.number != number:
        chain.off(FindingCode.HEAD_FORGED, number, f"it says that it is head {head.number}")
    expected = "" if before is None else sha256(before.text().encode()).hexdigest()
    if (before is None or before.number == number - 1) and head.previous != expected:
        chain.off(FindingCode.HEAD_FORGED, number, "it does not follow from the head before it")


def _read_leaves(chain: Chain, archive: HeadArchive, head: Head) -> dict[str, bytes]:
    """Nothing where they are not those that were published, nor after that."""
    name = leaf_file(head.number)
    content = _content(chain, archive, name, head.number)
    parts: dict[str, bytes] = {}
    if content is None:
        chain.is_whole = False
    elif sha256(content).hexdigest() != head.leaves:
        chain.is_whole = False
        chain.off(FindingCode.LEAVES_CHANGED, head.number, f"{name} is not what was published")
    elif chain.is_whole:
        try:
            parts = split_leaves(chain.last, head, content)
        except Unreadable as error:
            chain.is_whole = False
            chain.off(FindingCode.LEAVES_CHANGED, head.number, f"{name}: {error}")
    return parts


def _check_roots(chain: Chain, head: Head, frontiers: dict[str, Frontier]) -> None:
    for name, tree in head.trees.items():
        frontier = frontiers[name]
        if (frontier.size, frontier.root().hex()) != (tree.size, tree.root):
            chain.off(
                FindingCode.LEAVES_CHANGED, head.number, f"the published leaves of {name} do not make the signed root"
            )


def rewritten(chain: Chain, archive: HeadArchive, remembered: Iterable[Values]) -> list[Finding]:
    """The heads that the database remembers, compared with those that were published.

    The chain was read before the database: a service that runs may have published one more between the two.
    """
    published = {head.number: head for head in chain.heads}
    findings, seen = [], set[object]()
    for number, at, body, waiting in remembered:
        seen.add(number)
        head = published.get(number) if type(number) is int else None
        if head is None and not _was_published_since(chain, archive, number, body):
            findings.append(
                Finding(FindingCode.HEAD_MISSING, f"the database remembers head {number}; it is not there")
            )
        elif head is not None and (at, body, waiting) != (head.at, head.text(), _waiting(chain, number, waiting)):
            findings.append(
                Finding(
                    FindingCode.HEAD_CHANGED, "the database remembers it otherwise", "heads", None, head=head.number
                )
            )
    for number in sorted(published.keys() - seen):
        findings.append(Finding(FindingCode.HEAD_CHANGED, "the database does not remember it", "heads", head=number))
    return findings


def _waiting(chain: Chain, number: object, otherwise: object) -> object:
    known = chain.waiting.get(number) if isinstance(number, int) else None
    return otherwise if known is None else waiting_text(known)


def _was_published_since(chain: Chain, archive: HeadArchive, number: object, body: object) -> bool:
    last = chain.last
    if last is None or type(number) is not int or number <= last.number:
        return False
    try:
        content = archive.get(head_file(number))
    except Refusal:  # told when it was read first
        return False
    return content is not None and content.decode("utf-8", "replace") == body
