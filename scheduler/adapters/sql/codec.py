"""How a domain value becomes a row and a row the value: derived from the type, so that there is one model only.

A column bears its field's name. Integers, strings and None stay as they are, booleans become 0 and 1, enums their
value, and everything else (nested values, sets, tuples, mappings) JSON in a TEXT column.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Generic, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson
from pydantic import TypeAdapter
from sqlalchemy import Column, Row, Table

T = TypeVar("T")

_TEXTS_KEPT = 512
_TEXT_LENGTH_MAX = 256
"""Short texts of each field are remembered with their values, which nobody changes: many rows have the same placement, pod
or list of classes."""


@dataclass(frozen=True, slots=True)
class FieldCodec:
    """None for a direction: the value stays as it is."""

    name: str
    encode: Callable[[Any], Any] | None
    decode: Callable[[Any], Any] | None


class RowCodec(Generic[T]):
    """Writes values of one dataclass to one table and reads them back."""

    def __init__(self, of: type[T], table: Table, *spelled: FieldCodec) -> None:
        """`spelled` are the fields whose text is their own."""
        hints = get_type_hints(of)
        own = {codec.name: codec for codec in spelled}
        names = [field.name for field in fields(of)]  # type: ignore[arg-type]  # T is a dataclass
        codecs = [own.get(name) or _field_codec(name, hints[name]) for name in names]
        self._of = of
        self._names = names
        self._fields_of: Callable[[T], tuple[Any, ...]] = attrgetter(*names)
        self._encoders = [(place, codec.encode) for place, codec in enumerate(codecs) if codec.encode]
        self._decoders = [(place, codec.decode) for place, codec in enumerate(codecs) if codec.decode]
        self.columns: Sequence[Column[Any]] = [table.c[name] for name in names]
        """What to select, in this order, for `read`."""

    def write(self, value: T) -> dict[str, Any]:
        """The parameters of an insert or update."""
        values = list(self._fields_of(value))
        for place, encode in self._encoders:
            if values[place] is not None:
                values[place] = encode(values[place])
        return dict(zip(self._names, values, strict=True))

    def read(self, row: Row[*tuple[Any, ...]] | Sequence[Any]) -> T:
        """The value of a row of `columns`."""
        values = list(row)
        for place, decode in self._decoders:
            if values[place] is not None:
                values[place] = decode(values[place])
        return self._of(*values)

    def read_all(self, rows: Iterable[Row[*tuple[Any, ...]] | Sequence[Any]]) -> list[T]:
        return [self.read(row) for row in rows]


def to_json(value: object) -> str:
    """Sets are written sorted, so that the same value is the same text; a tuple with names as the object that it is."""
    return orjson.dumps(value, default=_plain).decode()


def _plain(value: Any) -> object:
    fields: Callable[[], object] | None = getattr(value, "_asdict", None)
    return sorted(value) if fields is None else fields()


def _field_codec(name: str, hint: Any) -> FieldCodec:
    kind = _without_none(hint)
    while isinstance(kind, NewType):
        kind = kind.__supertype__
    if kind is bool:
        return FieldCodec(name, int, bool)
    if kind in {int, str}:
        return FieldCodec(name, None, None)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return FieldCodec(name, lambda member: member.value, {m.value: m for m in kind}.__getitem__)
    return FieldCodec(name, to_json, _remembering(TypeAdapter(kind).validate_json))


def _remembering(decode: Callable[[str], Any]) -> Callable[[str], Any]:
    remembered = lru_cache(_TEXTS_KEPT)(decode)
    return lambda text: remembered(text) if len(text) <= _TEXT_LENGTH_MAX else decode(text)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in {Union, UnionType}:
        (kind,) = (part for part in get_args(hint) if part is not NoneType)
        return kind
    return hint
