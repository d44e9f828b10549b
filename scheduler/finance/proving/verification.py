"""Verification: a database and the published heads, and nothing else. Every difference is a finding, never an error.

Three questions. Are the heads what was published? Does every row under the last of them have the leaf hash that was
published for it? And do the values that change (cached balances, floors, rows that were sealed) follow from those rows?
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

from scheduler.finance.proving.chain import read_chain, rewritten
from scheduler.finance.proving.endorsement import IsSigned
from scheduler.finance.proving.findings import Finding, FindingCode, Findings, TreeReport, Verification
from scheduler.finance.proving.heads import Unreadable
from scheduler.finance.proving.merkle import HASH_BYTES
from scheduler.finance.proving.ports import Evidence, HeadArchive
from scheduler.finance.proving.relations import SEALED, SEALS, TREES, Relation, Values, digests_of, leaf_hashes
from scheduler.finance.proving.sums import Sums, rows_after

_ORDER = [relation.name for relation in (*TREES, *SEALED)]


def verify(
    evidence: Evidence, archive: HeadArchive, is_signed: IsSigned, trusted: bytes | None = None
) -> Verification:
    """Look at everything there is. `trusted` is the public key, where the verifier knows it from elsewhere."""
    return _Verifying(evidence, archive, is_signed, trusted).report()


class _Verifying:
    """One verification under way."""

    def __init__(self, evidence: Evidence, archive: HeadArchive, is_signed: IsSigned, trusted: bytes | None) -> None:
        self._evidence = evidence
        self._trusted = trusted
        self._findings = Findings(_ORDER)
        self._archive = archive
        self._chain = read_chain(archive, is_signed, trusted)
        self._trees: dict[str, TreeReport] = {}
        self._seals: dict[object, dict[object, object]] = defaultdict(dict)
        self._sealed_since: set[tuple[object, object]] = set()
        """Table and key of the rows that were sealed after the last head."""
        self._sums = Sums(self._findings)

    def report(self) -> Verification:
        self._look_at_heads()
        self._look_at_schema()
        for tree in TREES:
            self._guarded(tree, self._look_at_tree)
        for relation in SEALED:
            self._guarded(relation, self._look_at_sealed)
        self._sums.compare()
        for finding in self._evidence.damage():
            self._findings.add(finding)
        chain = self._chain
        last = chain.last
        return Verification(
            findings=self._findings.in_order(),
            found=self._findings.count,
            heads=len(chain.heads),
            last_head_at=last.at if last is not None else None,
            key=self._trusted.hex() if self._trusted is not None else chain.heads[0].key if chain.heads else "",
            is_pinned=self._trusted is not None,
            keys=chain.keys,
            trees=self._trees,
            first_bad_row=self._findings.first_bad_row,
        )

    def _look_at_heads(self) -> None:
        for finding in self._chain.findings:
            self._findings.add(finding)
        if not self._chain.heads:
            self._findings.add(Finding(FindingCode.NO_HEADS, "no head was ever published here: nothing is proven"))
        try:
            for finding in rewritten(self._chain, self._archive, self._evidence.heads()):
                self._findings.add(finding)
        except Unreadable as error:
            self._findings.add(Finding(FindingCode.UNREADABLE, str(error), "heads"))

    def _look_at_schema(self) -> None:
        try:
            for finding in self._evidence.shape((*TREES, *SEALED)):
                self._findings.add(finding)
        except Unreadable as error:
            self._findings.add(Finding(FindingCode.UNREADABLE, str(error)))

    def _guarded(self, relation: Relation, look: Callable[[Relation], None]) -> None:
        try:
            look(relation)
        except Unreadable as error:
            self._findings.add(Finding(FindingCode.UNREADABLE, str(error), relation.name))

    # trees

    def _look_at_tree(self, tree: Relation) -> None:
        published = self._chain.leaves.get(tree.name, b"")
        anchored = len(published) // HASH_BYTES
        reading = _Reading(tree, published, self._findings)
        for rows in self._evidence.rows(tree):
            reading.take(rows)
            self._use(tree, rows, anchored)
        reading.end()
        self._trees[tree.name] = TreeReport(reading.count, anchored)

    def _use(self, tree: Relation, rows: Sequence[Values], anchored: int) -> None:
        """What the other checks need of these rows."""
        if tree is SEALS:
            seals = self._seals
            for _, relation, key, digest in rows:
                if type(key) is str and type(relation) is str:  # nearly all of a million
                    seals[relation][key] = digest
                else:
                    seals[_known(relation)][_known(key)] = digest
            self._sealed_since.update((_known(row[1]), _known(row[2])) for row in rows_after(rows, anchored))
        else:
            self._sums.take(tree, rows, anchored)

    # sealed rows

    def _look_at_sealed(self, relation: Relation) -> None:
        seals = self._seals.pop(relation.name, {})
        count = anchored = 0
        for rows in self._evidence.rows(relation):
            for row, found in zip(rows, digests_of(relation, rows), strict=True):
                count += 1
                key = row[0]
                known = key if type(key) is str else _known(key)
                digest = seals.pop(known, None)
                if digest is not None:
                    anchored += (relation.name, known) not in self._sealed_since
                    if digest != found:
                        self._off(FindingCode.ROW_CHANGED, relation, row[0], "it is not as it was sealed")
                else:
                    self._off(FindingCode.ROW_UNSEALED, relation, row[0], "it was never sealed")
            self._sums.take_sealed(relation, rows)
        for key in seals:
            self._off(FindingCode.ROW_DELETED, relation, key, "it was sealed and is not there")
        self._trees[relation.name] = TreeReport(count, anchored)

    def _off(self, code: FindingCode, relation: Relation, key: object, detail: str) -> None:
        self._findings.add(Finding(code, detail, relation.name, shown_key(key)))


class _Reading:
    """The rows of one tree as they come by, each compared with the leaf that was published under its number."""

    def __init__(self, tree: Relation, published: bytes, findings: Findings) -> None:
        self._tree = tree
        self._published = published
        self._findings = findings
        self._expected = 1
        self.count = 0

    def take(self, rows: Sequence[Values]) -> None:
        self.count += len(rows)
        width = len(self._tree.columns)
        leaves = leaf_hashes(self._tree, [row[:width] for row in rows] if self._tree.may_change else rows)
        keys = [row[0] for row in rows]
        if keys == list(range(self._expected, self._expected + len(rows))):
            first = (self._expected - 1) * HASH_BYTES
            published = self._published[first : first + len(leaves)]
            self._expected += len(rows)
            if leaves[: len(published)] == published:
                return
        else:
            self._expected = self._after_gaps(keys)
        for place, row in enumerate(rows):
            self._compare(row, leaves[place * HASH_BYTES : (place + 1) * HASH_BYTES])

    def end(self) -> None:
        anchored = len(self._published) // HASH_BYTES
        if self._expected <= anchored:
            self._off(
                FindingCode.ROW_DELETED,
                self._expected,
                f"rows {self._expected} to {anchored} were published and are not there",
            )

    def _after_gaps(self, keys: Sequence[object]) -> int:
        """Report what is missing between these keys, and keys that are none; returns the key that should come next."""
        expected = self._expected
        for key in keys:
            if type(key) is not int or key < expected:
                self._off(FindingCode.ROW_INSERTED, key, "its number is none that a row of ours can have here")
                continue
            if key > expected:
                self._off(FindingCode.ROW_DELETED, expected, f"rows {expected} to {key - 1} are not there")
            expected = key + 1
        return expected

    def _compare(self, row: Values, leaf: bytes) -> None:
        key = row[0]
        if type(key) is not int:  # 1.0 and true are equal to 1 and no numbers of rows
            self._off(FindingCode.ROW_CHANGED, key, "its number is no whole number", row)
            return
        published = self._published[(key - 1) * HASH_BYTES : key * HASH_BYTES] if key >= 1 else b""
        if published and published != leaf:
            self._off(FindingCode.ROW_CHANGED, key, "it is not the row that was published", row)

    def _off(self, code: FindingCode, key: object, detail: str, row: Values = ()) -> None:
        shown = self._tree.columns.index(self._tree.shown) if self._tree.shown and row else None
        name = "" if shown is None else str(row[shown])[:200]
        self._findings.add(Finding(code, detail, self._tree.name, shown_key(key), name))


def _known(key: object) -> object:
    """A key to look up by, even where it is of a type that none of ours is."""
    return key if isinstance(key, int | str | None) else repr(key)


def shown_key(key: object) -> int | str:
    """A key for a report: one of another type than ours is shown as text."""
    return key if type(key) is int else str(key)[:200]
