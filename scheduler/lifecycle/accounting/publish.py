"""Publish: sign what the journal holds by now, remember the head in the database, and put it where heads are kept."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Lock

from scheduler.domain.errors import Conflict, NotFound, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.records import AuditEvent
from scheduler.domain.units import Instant
from scheduler.finance.proving.endorsement import leading
from scheduler.finance.proving.heads import (
    Head,
    KeyNow,
    frontiers_from,
    head_file,
    leaf_file,
    next_head,
    parse_head,
    waiting_text,
)
from scheduler.finance.proving.merkle import Frontier
from scheduler.finance.proving.ports import HeadArchive, HeadBook, PublishedHead, Signer
from scheduler.finance.proving.relations import TREES, Relation, leaf_hashes
from scheduler.ports import Store

TRIES = 5
"""To make the next head before another process does, one of which runs beside this at most."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Makes heads. One that was remembered and not put away, because the process died, is put away by the next round.

    Rows are hashed in a read transaction: a journal of a million rows keeps no writer waiting.
    """

    store: Store
    archive: HeadArchive
    signer: Signer
    now: Callable[[], Instant]
    _turn: AbstractContextManager[bool] = field(default_factory=Lock, repr=False, compare=False)

    def publish(self) -> Head | None:
        """A head over what came since the last; None where nothing did.

        Whoever asks while another makes one waits for that, and then finds nothing left or makes the next.
        Raises Conflict where other processes make them all the while, or what lies there is not what was published;
        Unavailable where it cannot be put away.
        """
        with self._turn:
            return self._publish_in_turn()

    def publish_for(self, caller: Caller, *, request_id: str = "") -> Head | None:
        """The same for somebody who asks: where there is something to publish, that they did is in what is published.

        Raises NotPermitted (`role-required`) but for auditors, finance and operators.
        """
        caller = caller.require(Role.AUDITOR, Role.FINANCE, Role.OPERATOR)
        with self._turn:
            with self.store.reading() as books:
                last = books.heads.last()
                before = None if last is None else parse_head(last.body)
                is_due = any(_has_more(books.heads, tree, before) for tree in TREES)
            if is_due:
                number = 0 if before is None else before.number
                event = AuditEvent(
                    self.now(),
                    caller.actor,
                    caller.role,
                    "publish head",
                    str(number + 1),
                    request_id,
                    before=str(number) if number else "",
                    after=str(number + 1),
                )
                with self.store.writing() as books:
                    books.control.add_events([event])
            return self._publish_in_turn()

    def _publish_in_turn(self) -> Head | None:
        for _ in range(TRIES - 1):
            try:
                return self._publish()
            except Conflict as conflict:
                if conflict.code is not RefusalCode.STALE:
                    raise
        return self._publish()

    def _publish(self) -> Head | None:
        with self.store.reading() as books:
            last = books.heads.last()
        if last is not None:
            self._put_away(last)
        with self.store.reading() as books:
            made = self._next(books.heads, last)
        if made is None:
            return None
        head, content, remembered = made
        with self.store.writing() as books:
            books.heads.add(remembered)
        self._put(head, content)
        return head

    def last(self) -> Head:
        """The last that was made. Raises NotFound where there is none: nothing was ever written."""
        with self.store.reading() as books:
            last = books.heads.last()
        if last is None:
            raise NotFound("nothing was written yet: there is no head", code=RefusalCode.UNKNOWN_ROW)
        return parse_head(last.body)

    def _next(self, book: HeadBook, last: PublishedHead | None) -> tuple[Head, bytes, PublishedHead] | None:
        before = None if last is None else parse_head(last.body)
        frontiers = {} if before is None or last is None else frontiers_from(before, last.waiting)
        new_leaves: dict[str, bytes] = {}
        for tree in TREES:
            frontier = frontiers.setdefault(tree.name, Frontier())
            pieces = [leaf_hashes(tree, rows) for rows in book.rows(tree, after=frontier.size)]
            new_leaves[tree.name] = b"".join(pieces)
            for piece in pieces:
                frontier.append(piece)
        if not any(new_leaves.values()):
            return None
        unsigned, content = next_head(before, frontiers, new_leaves, self.now(), self._key_after(before))
        head = unsigned.signed(self.signer.sign(unsigned.message()))
        waiting = waiting_text({name: frontier.waiting for name, frontier in frontiers.items()})
        return head, content, PublishedHead(head.number, head.at, head.text(), waiting)

    def _key_after(self, before: Head | None) -> KeyNow:
        """The signer's key, with what leads to it. Raises Conflict (`key-not-endorsed`) where nothing does."""
        key = self.signer.public_key
        if before is None:
            return KeyNow(key)
        way = leading(before.key, key.hex(), self.signer.endorsements)
        if way is None:
            raise Conflict(
                f"the signing key {key.hex()[:16]}… is not the one that signed the heads so far, and not endorsed by it",
                code=RefusalCode.KEY_NOT_ENDORSED,
                expected=f"the key {before.key[:16]}…, or one that it endorsed",
                remedy="run `allot audit rotate-key` with the old key, or put the old key back",
            )
        return KeyNow(key, tuple(way))

    def _put(self, head: Head, content: bytes) -> None:
        """The leaves first: a head that is there is complete."""
        self.archive.put(leaf_file(head.number), content)
        self.archive.put(head_file(head.number), head.text().encode())

    def _put_away(self, last: PublishedHead) -> None:
        """Heads that were remembered and are not there: from the first such on, none that was put away follows.

        The place may be across a network: it is asked and written outside of any transaction.
        """
        missing: list[Head] = []
        known: PublishedHead | None = last
        while known is not None and self.archive.get(head_file(known.seq)) is None:
            missing.append(parse_head(known.body))
            with self.store.reading() as books:
                known = books.heads.get(known.seq - 1)
        before = None if known is None else parse_head(known.body)
        for head in reversed(missing):
            parts = []
            with self.store.reading() as books:
                for tree in sorted(TREES, key=lambda each: each.name):
                    after = 0 if before is None else before.size(tree.name)
                    parts += [leaf_hashes(tree, rows) for rows in books.heads.rows(tree, after, head.size(tree.name))]
            self._put(head, b"".join(parts))
            before = head


def _has_more(book: HeadBook, tree: Relation, before: Head | None) -> bool:
    """Whether the tree has a row that the head does not cover."""
    size = 0 if before is None else before.size(tree.name)
    return bool(sum(len(piece) for piece in book.rows(tree, size, size + 1)))
