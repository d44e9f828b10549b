"""Statements that several books need: reading many by id in bounded pieces, and counting rows without gaps."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Row,
    Select,
    Table,
    Text,
    Update,
    any_,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from scheduler.adapters.sql.codec import to_json
from scheduler.adapters.sql.driving import fetch_all, write_each

T = TypeVar("T")

_PIECE = 5_000
"""Ids in one statement: well below what SQLite (32,766) and PostgreSQL (65,535) take."""

_BOUND = "_"
"""What an update's parameter is called beside its column: SQLAlchemy keeps the column's own name to itself."""

_DIALECTS: dict[str, Dialect] = {}


def rows_by_id(
    connection: Connection, statement: Select[*tuple[Any, ...]], column: Column[Any], ids: Iterable[str]
) -> list[tuple[Any, ...]]:
    """The rows of the statement whose column is one of the ids, each id asked for once.

    The statement is one that is made once, beside its table. It is spelled once, as the driver takes it, and one text
    serves any number of ids: SQLAlchemy's own IN is spelled anew at each call, which took longer than all the rest.
    """
    text, order, values = _among(statement, column, _dialect_of(connection))
    rows: list[tuple[Any, ...]] = []
    for piece in pieces(dict.fromkeys(ids)):
        if order is None:
            rows += fetch_all(connection, text, {**values, "among": piece})
        else:
            named = {**values, "among": to_json(piece)}
            rows += fetch_all(connection, text, tuple([named[name] for name in order]))
    return rows


def among(column: Column[Any], values: Sequence[int] | Sequence[str], dialect: Dialect) -> ColumnElement[bool]:
    """Whether it is one of them: one parameter, however many they are."""
    if dialect.name == "sqlite":
        listed = func.json_each(bindparam(None, to_json(list(values)), type_=Text)).table_valued("value")
        return column.in_(select(listed.c.value))
    return column == any_(bindparam(None, list(values), type_=ARRAY(column.type)))


def filtered_by_id(
    connection: Connection, statement: Select[*tuple[Any, ...]], column: Column[Any], ids: Iterable[str]
) -> list[Row[*tuple[Any, ...]]]:
    """As `rows_by_id`, for a statement that is made for the call, with values of its own."""
    rows: list[Row[*tuple[Any, ...]]] = []
    for piece in pieces(dict.fromkeys(ids)):
        rows += connection.execute(statement.where(among(column, piece, connection.dialect))).all()
    return rows


@lru_cache(maxsize=256)
def _among(
    statement: Select[*tuple[Any, ...]], column: Column[Any], dialect: Dialect
) -> tuple[str, tuple[str, ...] | None, Mapping[str, Any]]:
    """Its text, the order of its parameters where they have no names (SQLite), and the values that never change.

    The ids are one parameter, `among`: JSON on SQLite, which has no arrays.
    """
    if dialect.name == "sqlite":
        listed = func.json_each(bindparam("among", type_=Text)).table_valued("value")
        chosen = statement.where(column.in_(select(listed.c.value)))
    else:
        chosen = statement.where(column == any_(bindparam("among", type_=ARRAY(column.type))))
    compiled = chosen.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    return str(compiled), _order_of(compiled), compiled.params


def spelled(connection: Connection, statement: Select[*tuple[Any, ...]], **values: Any) -> tuple[str, Any]:
    """The text of a statement that is made once, and its parameters with these values, as the driver takes them."""
    text, order, fixed = _text_of(statement, _dialect_of(connection))
    named = {**fixed, **values}
    return text, named if order is None else tuple([named[name] for name in order])


@lru_cache(maxsize=256)
def _text_of(
    statement: Select[*tuple[Any, ...]], dialect: Dialect
) -> tuple[str, tuple[str, ...] | None, Mapping[str, Any]]:
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    return str(compiled), _order_of(compiled), compiled.params


def pieces(values: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while piece := list(islice(rest, _PIECE)):
        yield piece


def next_number(connection: Connection, column: Column[Any]) -> int:
    """One more than the highest so far: without gaps, since one transaction writes at a time."""
    ((highest,),) = fetch_all(connection, _highest(column, _dialect_of(connection)))
    return 1 if highest is None else highest + 1


@lru_cache
def _highest(column: Column[Any], dialect: Dialect) -> str:
    return str(select(func.max(column)).compile(dialect=dialect))


def insert_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Every row with the columns of the first. PostgreSQL takes all of them in one statement, a column at a time: one for
    each row, as SQLite has it, takes its server several times as long."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        execute_many(connection, _insert(table), rows)
    else:
        text = _insert_columns(table, tuple(rows[0]), _dialect_of(connection))
        connection.exec_driver_sql(text, {name: [row[name] for row in rows] for name in rows[0]})


def upsert_all(connection: Connection, table: Table, key: Column[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Add every row, or overwrite the one that has its key."""
    if rows:
        execute_many(connection, _upsert(table, key, connection.dialect.name), rows)


def update_all(
    connection: Connection,
    table: Table,
    key: Column[Any],
    rows: Iterable[Mapping[str, Any]],
    stays: frozenset[str] = frozenset(),
) -> int:
    """Set every other column that the rows name, in the row of each one's key, but for those that never change: a column
    that is set has SQLite write its indexes anew, though its value is the same. Returns how many of them there were."""
    rows = list(rows)
    return execute_many(connection, _update(table, key, tuple(rows[0]), stays), rows) if rows else 0


def execute_many(connection: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> int:
    """The statement, made once, for each row, as the driver takes it. Handed to SQLAlchemy it would be looked up, and each
    row spelled out, anew: a tenth of a busy cycle, for rows of integers and text that need no conversion. An update's
    parameters are called as its columns are, with an underscore behind. Returns how many rows there were."""
    names = tuple(rows[0]) if isinstance(statement, Insert) else ()
    text, parameters_of = _spelled(statement, names, _dialect_of(connection))
    return write_each(connection, text, [parameters_of(row) for row in rows])


@lru_cache(maxsize=512)
def _spelled(
    statement: Insert | Update, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    """Its text, and what makes a row its parameters: by name, or in their order where they have no names (SQLite)."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names) or None)
    assert isinstance(compiled, SQLCompiler)
    ending = _BOUND if isinstance(statement, Update) else ""
    column_of = {bound: bound.removesuffix(ending) for bound in compiled.params}
    order = _order_of(compiled)
    if order is None:
        return str(compiled), lambda row: {bound: row[name] for bound, name in column_of.items()}
    columns = [column_of[bound] for bound in order]
    if len(columns) > 1:
        return str(compiled), itemgetter(*columns)
    return str(compiled), lambda row: tuple(row[name] for name in columns)  # of one name itemgetter makes no tuple


def _dialect_of(connection: Connection) -> Dialect:
    """That of the first engine on this kind of database. Each engine has one of its own, but all spell alike: what was
    spelled for the store's readers serves its writer, and every store that is opened later."""
    return _DIALECTS.setdefault(connection.dialect.name, connection.dialect)


def _order_of(compiled: SQLCompiler) -> tuple[str, ...] | None:
    return None if compiled.positiontup is None else tuple(compiled.positiontup)


@lru_cache
def _insert(table: Table) -> Insert:
    return table.insert()


@lru_cache
def _insert_columns(table: Table, names: tuple[str, ...], dialect: Dialect) -> str:
    columns = (bindparam(name, type_=ARRAY(table.c[name].type)) for name in names)
    given = func.unnest(*columns).table_valued(*names).render_derived()
    rows = select(*(given.c[name] for name in names))
    return str(table.insert().from_select(list(names), rows).compile(dialect=dialect))


@lru_cache
def _upsert(table: Table, key: Column[Any], dialect_name: str) -> Insert:
    statement = sqlite.insert(table) if dialect_name == "sqlite" else postgresql.insert(table)
    others = {column.name: column for column in statement.excluded if column.name != key.name}
    return statement.on_conflict_do_update(index_elements=[key], set_=others)


@lru_cache
def _update(table: Table, key: Column[Any], names: tuple[str, ...], stays: frozenset[str]) -> Update:
    return (
        update(table)
        .where(key == bindparam(f"{key.name}{_BOUND}"))
        .values({name: bindparam(f"{name}{_BOUND}") for name in names if name != key.name and name not in stays})
    )
