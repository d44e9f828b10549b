"""Seals: rows that change until they are final leave their digest in an append-only table when they are.

The books seal what they write, in the transaction that writes it: an allowance when it is awarded, a hold when it is
resolved, an attempt when it has ended, a pod when its end is known, a workload when it is final. What is changed past
the books, with or without triggers, differs from its seal.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, Table, column, inspect, null, select, table

from scheduler.adapters.sql.querying import insert_all, next_number, rows_by_id
from scheduler.adapters.sql.tables.proofs import seals
from scheduler.finance.relations import SEALED, Relation, digest_of

_RELATIONS = {relation.name: relation for relation in SEALED}


def seal(connection: Connection, of: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Seal those of the rows, just written with all their columns, that are final."""
    relation = _RELATIONS[of.name]
    values = [[row[name] for name in relation.columns] for row in rows]
    _seal(connection, relation, [row for row in values if relation.is_final(row)])


def seal_stored(connection: Connection, of: Table, keys: Sequence[str]) -> None:
    """The same for rows that were written in part: read back as they are now."""
    relation = _RELATIONS[of.name]
    found = rows_by_id(connection, _sealed_columns(of), of.c[relation.columns[0]], keys)
    _seal(connection, relation, [row for row in map(tuple, found) if relation.is_final(row)])


@lru_cache
def _sealed_columns(of: Table) -> Select[*tuple[Any, ...]]:
    return select(*(of.c[name] for name in _RELATIONS[of.name].columns))


def seal_everything(connection: Connection) -> None:
    """Seal the final rows of a database from before there were seals. Columns that it has not yet are NULL."""
    for relation in SEALED:
        there = {column["name"] for column in inspect(connection).get_columns(relation.name)}
        chosen = [column(name) if name in there else null().label(name) for name in relation.columns]
        rows = connection.execute(select(*chosen).select_from(table(relation.name)).order_by(column(relation.key)))
        for piece in rows.partitions(1_000):
            _seal(connection, relation, [row for row in map(tuple, piece) if relation.is_final(row)])


def _seal(connection: Connection, relation: Relation, rows: Sequence[Sequence[Any]]) -> None:
    if not rows:
        return
    first = next_number(connection, seals.c.seq)
    made = [
        {"seq": first + place, "relation": relation.name, "key": row[0], "digest": digest_of(relation, row)}
        for place, row in enumerate(rows)
    ]
    insert_all(connection, seals, made)
