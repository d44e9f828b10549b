"""The published heads, read as a chain: what a head says of itself is compared with what lies beside it."""

from dataclasses import dataclass, field, replace

from scheduler.domain.units import Instant
from scheduler.finance.proving.chain import Chain, read_chain
from scheduler.finance.proving.findings import FindingCode
from scheduler.finance.proving.heads import Head, KeyNow, TreeHead, head_file, leaf_file, next_head
from scheduler.finance.proving.merkle import EMPTY_ROOT, HASH_BYTES, Frontier

LEAVES = bytes(range(3 * HASH_BYTES))


@dataclass
class Files:
    """An archive in memory."""

    contents: dict[str, bytes] = field(default_factory=dict)

    def names(self) -> list[str]:
        return sorted(self.contents)

    def get(self, name: str) -> bytes | None:
        return self.contents.get(name)

    def put(self, name: str, content: bytes) -> None:
        self.contents[name] = content


def first_head() -> Head:
    frontier = Frontier()
    frontier.append(LEAVES)
    head, _ = next_head(None, {"rows": frontier}, {"rows": LEAVES}, Instant(9), KeyNow(bytes(32)))
    return head.signed(bytes(64))


def read(head: Head) -> Chain:
    """The chain of this head alone, published as the first; whatever stands in it was signed."""
    contents = {head_file(1): head.text().encode(), leaf_file(1): LEAVES}
    return read_chain(Files(contents), lambda *_: True, None)


def told(chain: Chain) -> list[tuple[FindingCode, int | None]]:
    return [(finding.code, finding.head) for finding in chain.findings]


def test_a_head_that_says_what_lies_beside_it_holds() -> None:
    chain = read(first_head())
    assert (told(chain), chain.leaves, chain.is_whole) == ([], {"rows": LEAVES}, True)


def test_a_signed_root_that_the_published_leaves_do_not_make_is_told() -> None:
    other = replace(first_head(), trees={"rows": TreeHead(3, EMPTY_ROOT.hex())})
    assert told(read(other)) == [(FindingCode.LEAVES_CHANGED, 1)]


def test_a_head_that_was_signed_under_another_number_is_told() -> None:
    assert (FindingCode.HEAD_FORGED, 1) in told(read(replace(first_head(), number=2)))
