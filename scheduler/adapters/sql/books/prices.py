"""Price books in SQL."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.querying import insert_all, next_number
from scheduler.adapters.sql.tables.control import price_books
from scheduler.domain.records import PriceBookVersion

_VERSION = RowCodec(PriceBookVersion, price_books)


@dataclass(frozen=True, slots=True)
class SqlPrices:
    """A PriceShelf."""

    connection: Connection

    def add(self, version: PriceBookVersion) -> None:
        """`seq` is given by the book."""
        seq = next_number(self.connection, price_books.c.seq)
        insert_all(self.connection, price_books, [_VERSION.write(version) | {"seq": seq}])

    def current(self) -> PriceBookVersion | None:
        newest = self.versions(limit=1)
        return newest[0] if newest else None

    def versions(self, limit: int = 50) -> list[PriceBookVersion]:
        """Newest first."""
        statement = select(*_VERSION.columns).order_by(price_books.c.seq.desc()).limit(limit)
        return _VERSION.read_all(self.connection.execute(statement))
