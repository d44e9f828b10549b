"""Statements that several books need: reading many by id in bounded pieces, and counting rows without gaps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Row, Select, Table, bindparam, func, select, update

T = TypeVar("T")

_PIECE = 5_000
"""Ids in one statement: well below what SQLite (32,766) and PostgreSQL (65,535) take."""


def rows_by_id(
    connection: Connection, statement: Select[*tuple[Any, ...]], column: Column[Any], ids: Iterable[str | int]
) -> list[Row[*tuple[Any, ...]]]:
    """The rows of the statement whose column is one of the ids, each id asked for once."""
    rows: list[Row[*tuple[Any, ...]]] = []
    for piece in pieces(dict.fromkeys(ids)):
        rows.extend(connection.execute(statement.where(column.in_(piece))))
    return rows


def pieces(values: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while piece := list(islice(rest, _PIECE)):
        yield piece


def next_number(connection: Connection, column: Column[Any]) -> int:
    """One more than the highest so far: without gaps, since one transaction writes at a time."""
    highest: int | None = connection.execute(select(func.max(column))).scalar()
    return 1 if highest is None else highest + 1


def insert_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)


def update_all(connection: Connection, table: Table, key: Column[Any], rows: Iterable[Mapping[str, Any]]) -> None:
    """Set every other column that the rows name, in the row of each one's key."""
    parameters = [{f"{name}_": value for name, value in row.items()} for row in rows]
    if not parameters:
        return
    names = [name.removesuffix("_") for name in parameters[0]]
    statement = (
        update(table)
        .where(key == bindparam(f"{key.name}_"))
        .values({name: bindparam(f"{name}_") for name in names if name != key.name})
    )
    connection.execute(statement, parameters)
