"""The two column types that the store knows: INTEGER and TEXT. Strict tables on SQLite refuse every other."""

from typing import Any

from sqlalchemy import BigInteger, Dialect, ForeignKey, Integer, MetaData, Table, Text, inspect
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field, SQLModel


class Int64(TypeDecorator[int]):
    """A signed 64-bit integer: INTEGER on SQLite (where BIGINT is refused in a strict table), BIGINT elsewhere."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())


class Characters(TypeDecorator[str]):
    """TEXT, compared byte by byte: so SQLite does, and PostgreSQL would otherwise sort by its server's language."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text(collation="C") if dialect.name == "postgresql" else Text())


class Row(SQLModel):
    """The base of all tables. Their columns bear the names of the fields of the domain's value that a row holds."""

    metadata = MetaData(
        naming_convention={
            "ix": "%(table_name)s_by_%(column_0_N_name)s",
            "uq": "%(table_name)s_%(column_0_N_name)s_once",
            "ck": "%(table_name)s_%(constraint_name)s",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "pk": "%(table_name)s_pkey",
        }
    )


STRICT = {"sqlite_strict": True}


def text(*, references: str | None = None, **options: Any) -> Any:
    """A TEXT column; an annotation with `| None` makes it nullable."""
    return Field(sa_type=Characters, sa_column_args=_foreign_key(references), **options)


def integer(*, references: str | None = None) -> Any:
    """An integer column: instants, amounts, and booleans as 0 and 1."""
    return Field(sa_type=Int64, sa_column_args=_foreign_key(references))


def sequence() -> Any:
    """A primary key that the book itself counts, without gaps and in the order of commits."""
    return Field(sa_type=Int64, primary_key=True, sa_column_kwargs={"autoincrement": False})


def table_of(model: type[Row]) -> Table:
    """The Core table of a model: hot paths insert and select with it, without a unit of work."""
    table = inspect(model).local_table
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is no table")
    return table


def _foreign_key(references: str | None) -> list[ForeignKey]:
    """Checked at commit, so that the rows of one transaction may be written in any order."""
    return [] if references is None else [ForeignKey(references, deferrable=True, initially="DEFERRED")]
