"""Statements that several books need: reading many by id in bounded pieces, and counting rows without gaps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Insert,
    Row,
    Select,
    Table,
    Update,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.sql.compiler import SQLCompiler

T = TypeVar("T")

_PIECE = 5_000
"""Ids in one statement: well below what SQLite (32,766) and PostgreSQL (65,535) take."""


def rows_by_id(
    connection: Connection, statement: Select[*tuple[Any, ...]], column: Column[Any], ids: Iterable[str]
) -> list[Row[*tuple[Any, ...]]]:
    """The rows of the statement whose column is one of the ids, each id asked for once.

    A statement that is made once, beside its table, is also prepared once. For one id alone, as most are asked, it is
    not even spelled out anew.
    """
    rows: list[Row[*tuple[Any, ...]]] = []
    for piece in pieces(dict.fromkeys(ids)):
        if len(piece) == 1:
            rows.extend(connection.execute(_of_one(statement, column), {"one": piece[0]}))
        else:
            rows.extend(connection.execute(_among(statement, column), {"among": piece}))
    return rows


@lru_cache(maxsize=256)
def _of_one(statement: Select[*tuple[Any, ...]], column: Column[Any]) -> Select[*tuple[Any, ...]]:
    return statement.where(column == bindparam("one"))


@lru_cache(maxsize=256)
def _among(statement: Select[*tuple[Any, ...]], column: Column[Any]) -> Select[*tuple[Any, ...]]:
    return statement.where(column.in_(bindparam("among", expanding=True)))


def pieces(values: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while piece := list(islice(rest, _PIECE)):
        yield piece


def next_number(connection: Connection, column: Column[Any]) -> int:
    """One more than the highest so far: without gaps, since one transaction writes at a time."""
    highest: int | None = connection.execute(_highest(column)).scalar()
    return 1 if highest is None else highest + 1


@lru_cache
def _highest(column: Column[Any]) -> Select[*tuple[Any, ...]]:
    return select(func.max(column))


def insert_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Every row with the columns of the first."""
    if rows:
        execute_many(connection, _insert(table), rows)


def update_all(connection: Connection, table: Table, key: Column[Any], rows: Iterable[Mapping[str, Any]]) -> None:
    """Set every other column that the rows name, in the row of each one's key."""
    parameters = [{f"{name}_": value for name, value in row.items()} for row in rows]
    if parameters:
        execute_many(connection, _update(table, key, tuple(parameters[0])), parameters)


def execute_many(connection: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> None:
    """The statement, made once, for each row, as the driver takes it. Handed to SQLAlchemy it would be looked up, and each
    row spelled out, anew: a tenth of a busy cycle, for rows of integers and text that need no conversion."""
    names = tuple(rows[0]) if isinstance(statement, Insert) else ()
    text, order = _spelled(statement, names, connection.dialect)
    if order is None:
        connection.exec_driver_sql(text, [dict(row) for row in rows])
    else:
        connection.exec_driver_sql(text, [tuple([row[name] for name in order]) for row in rows])


@lru_cache(maxsize=512)
def _spelled(
    statement: Insert | Update, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, tuple[str, ...] | None]:
    """Its text, and the order of its parameters where they have no names (SQLite)."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names) or None)
    assert isinstance(compiled, SQLCompiler)
    return str(compiled), tuple(compiled.positiontup) if compiled.positiontup is not None else None


@lru_cache
def _insert(table: Table) -> Insert:
    return table.insert()


@lru_cache
def _update(table: Table, key: Column[Any], bound: tuple[str, ...]) -> Update:
    names = [name.removesuffix("_") for name in bound]
    return (
        update(table)
        .where(key == bindparam(f"{key.name}_"))
        .values({name: bindparam(f"{name}_") for name in names if name != key.name})
    )
