"""Heads in SQL: those that were made, and the rows of the trees that the next is made over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.columns import Row
from scheduler.adapters.sql.querying import insert_all
from scheduler.adapters.sql.tables.proofs import heads
from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.finance.proving.ports import PublishedHead
from scheduler.finance.proving.relations import Relation, Values

_HEAD = RowCodec(PublishedHead, heads)
_PIECE = 10_000


@dataclass(frozen=True, slots=True)
class SqlHeads:
    """A HeadBook."""

    connection: Connection

    def add(self, head: PublishedHead) -> None:
        last = self.last()
        if head.seq != (1 if last is None else last.seq + 1):
            raise Conflict("another head was made meanwhile", code=RefusalCode.STALE, remedy="look again")
        insert_all(self.connection, heads, [_HEAD.write(head)])

    def last(self) -> PublishedHead | None:
        row = self.connection.execute(select(*_HEAD.columns).order_by(heads.c.seq.desc()).limit(1)).first()
        return None if row is None else _HEAD.read(row)

    def get(self, number: int) -> PublishedHead | None:
        row = self.connection.execute(select(*_HEAD.columns).where(heads.c.seq == number)).first()
        return None if row is None else _HEAD.read(row)

    def rows(self, tree: Relation, after: int, until: int | None = None) -> Iterator[Sequence[Values]]:
        table = Row.metadata.tables[tree.name]
        key = table.c[tree.key]
        statement = select(*(table.c[name] for name in tree.columns)).where(key > after).order_by(key)
        if until is not None:
            statement = statement.where(key <= until)
        found = self.connection.execute(statement, execution_options={"yield_per": _PIECE})
        for piece in found.partitions():
            yield [tuple(row) for row in piece]
