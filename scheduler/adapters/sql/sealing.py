"""Seals: a row that changes (a hold, an attempt, a pod) leaves its digest in an append-only table whenever it is written.

The books note which rows a transaction writes, and seal each once at its end, as it then stands. Of several seals on one
row the last counts, from the row's first instant on: an open hold and a running attempt are proven like one that is over.
What is changed past the books, with or without triggers, differs from its last seal.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count, groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Table, column, inspect, null, select, table

from scheduler.adapters.sql.querying import insert_all, next_number
from scheduler.adapters.sql.tables.proofs import seals
from scheduler.finance.proving.relations import SEALED, Relation, Values, digests_of

_RELATIONS = {relation.name: relation for relation in SEALED}
_VALUES_OF = {relation.name: itemgetter(*relation.columns) for relation in SEALED}


class Sealing:
    """What one transaction wrote of the sealed tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._written: dict[tuple[str, str], Values] = {}

    def written(self, of: Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows that were just written, each with all its columns as the database now has them."""
        values_of = _VALUES_OF[of.name]
        for row in rows:
            values = values_of(row)
            self._written[of.name, values[0]] = values

    def seal(self) -> None:
        """At the end of the transaction: one seal for each row, in the order in which they were first written."""
        _append(self._connection, [(_RELATIONS[name], row) for (name, _), row in self._written.items()])
        self._written.clear()


def seal_unsealed(connection: Connection) -> None:
    """Seal the rows that have no seal, of a database from before they were made. Columns that it has not yet are NULL, and
    tables that it has not yet have no rows."""
    tables = set(inspect(connection).get_table_names())
    for relation in SEALED:
        if relation.name not in tables:
            continue
        there = {column["name"] for column in inspect(connection).get_columns(relation.name)}
        chosen = [column(name) if name in there else null().label(name) for name in relation.columns]
        known = select(seals.c.key).where(seals.c.relation == relation.name)
        rows = connection.execute(
            select(*chosen)
            .select_from(table(relation.name))
            .where(column(relation.key).not_in(known))
            .order_by(column(relation.key))
        )
        for piece in rows.partitions(1_000):
            _append(connection, [(relation, tuple(row)) for row in piece])


def _append(connection: Connection, rows: Sequence[tuple[Relation, Values]]) -> None:
    if not rows:
        return
    numbers = count(next_number(connection, seals.c.seq))
    made: list[dict[str, object]] = []
    for relation, run in groupby(rows, key=itemgetter(0)):  # the books write many rows of one table at a time
        values = [row for _, row in run]
        for row, digest in zip(values, digests_of(relation, values), strict=True):
            made.append({"seq": next(numbers), "relation": relation.name, "key": row[0], "digest": digest})
    insert_all(connection, seals, made)
