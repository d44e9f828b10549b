"""Sections: mappings with a closed list of keys, each with its kind, default and meaning."""

from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from scheduler.adapters.policy_files.document import Mapping, Node, Scalar, found, looks_like, quoted
from scheduler.adapters.policy_files.kinds import Kind, Reading, did_you_mean, nearest
from scheduler.adapters.policy_files.problems import Mark

T_co = TypeVar("T_co", covariant=True)
_Made = TypeVar("_Made")
_Else = TypeVar("_Else")


@dataclass(frozen=True, slots=True, eq=False)
class Field(Generic[T_co]):
    """A key of a section. Without `is_required`, a default: a value, or None with `absent` saying what that means."""

    key: str
    kind: Kind[T_co]
    meaning: str
    default: T_co | None = None
    absent: str = ""
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What was read of one section: values by key, and the places of the keys that were given."""

    mark: Mark
    path: str
    values: MappingOf[str, object]
    marks: MappingOf[str, Mark]

    def find(self, field: Field[T_co]) -> T_co | None:
        """The value given, else the default; None where there is neither, or where what was given was refused."""
        if field.key not in self.marks:
            return field.default
        # A key's value was read by this very field's kind, so it has its type.
        return cast(T_co | None, self.values.get(field.key))

    def value(self, field: Field[T_co]) -> T_co:
        """The value of a field that is required or has a default. Only of records without problems."""
        value = self.find(field)
        if value is None:
            raise LookupError(f"{self.path}.{field.key} is neither given nor has a default")
        return value

    def made(self, field: Field[T_co], make: Callable[[T_co], _Made], otherwise: _Else) -> _Made | _Else:
        """What `make` makes of the value given, or of the default; `otherwise` where there is neither."""
        value = self.find(field)
        return otherwise if value is None else make(value)

    def gives(self, field: Field[T_co]) -> bool:
        return field.key in self.marks

    def mark_of(self, field: Field[T_co]) -> Mark:
        return self.marks.get(field.key, self.mark)


@dataclass(frozen=True, slots=True, eq=False)
class Section(Kind[Record]):
    """A mapping with these keys and no others. `title` is how the documentation names it."""

    title: str
    meaning: str
    fields: tuple[Field[object], ...]

    @property
    def expected(self) -> str:
        return "a mapping with the keys " + ", ".join(field.key for field in self.fields)

    def read(self, node: Node, path: str, reading: Reading) -> Record | None:
        if isinstance(node, Scalar) and node.is_nothing and not any(field.is_required for field in self.fields):
            return Record(node.mark, path, {}, {})
        if not isinstance(node, Mapping):
            reading.refuse(node.mark, path or "the file", found(node), self.expected)
            return None
        prefix = f"{path}." if path else ""
        known = {field.key: field for field in self.fields}
        values: dict[str, object] = {}
        marks: dict[str, Mark] = {}
        misspelt: set[str | None] = set()
        for key, entry in node.entries:
            field = known.get(key.text)
            if field is None:
                seen = (
                    f"the unknown key {quoted(key.text)}{looks_like(key.text)}{did_you_mean(key.text, list(known))}"
                )
                reading.refuse(key.mark, path or "the file", seen, "one of " + ", ".join(known))
                misspelt.add(nearest(key.text, list(known)))
                continue
            marks[field.key] = key.mark
            value = field.kind.read(entry, prefix + field.key, reading)
            if value is not None:
                values[field.key] = value
        for field in self.fields:
            if field.is_required and field.key not in marks and field.key not in misspelt:
                reading.refuse(node.mark, prefix + field.key, "nothing", field.kind.expected)
        return Record(node.mark, path, values, marks)
