"""The JSON schema of what `rendering` makes of a type, for OpenAPI: derived from the same fields, so it cannot differ."""

import dataclasses
import enum
import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

from scheduler.domain.units import Instant
from scheduler.entrypoints.api.rendering import GPU_TIME_FIELDS, MONEY_SUFFIX

_SCALARS: Mapping[type, Mapping[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    types.NoneType: {"type": "null"},
}


def schema_of(annotation: Any) -> dict[str, Any]:
    """The schema of a rendered value of that type."""
    if annotation is Instant:
        return {"type": "string", "format": "date-time"}
    if isinstance(annotation, NewType):
        return schema_of(annotation.__supertype__)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return _object(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        return {"anyOf": [schema_of(argument) for argument in arguments]}
    container = origin or annotation
    if not isinstance(container, type):
        return {}
    if container in _SCALARS:
        return dict(_SCALARS[container])
    if issubclass(container, enum.Enum):
        return {"type": "string", "enum": [member.value for member in container]}
    if issubclass(container, Mapping):
        inner = schema_of(arguments[1]) if len(arguments) == 2 else {}
        return {"type": "object", "additionalProperties": inner}
    if issubclass(container, Sequence | AbstractSet):
        return _array(arguments)
    return {}


def _array(arguments: tuple[Any, ...]) -> dict[str, Any]:
    if len(arguments) == 1 or (len(arguments) == 2 and arguments[1] is Ellipsis):
        return {"type": "array", "items": schema_of(arguments[0])}
    each = [schema_of(argument) for argument in arguments]
    return {"type": "array", "prefixItems": each, "minItems": len(each), "maxItems": len(each)}


def _object(shape: type) -> dict[str, Any]:
    hints = get_type_hints(shape)
    properties: dict[str, Any] = {}
    for field in dataclasses.fields(shape):
        if field.name in GPU_TIME_FIELDS and hints[field.name] is int:
            stem = field.name.removesuffix("_ms")
            properties[f"{stem}_ms"] = {"type": "integer"}
            properties[f"{stem}_hours"] = {"type": "string", "pattern": r"^-?\d+\.\d$"}
        elif field.name.endswith(MONEY_SUFFIX):
            is_known = hints[field.name] is int
            properties[field.name] = schema_of(hints[field.name])
            properties[field.name.removesuffix(MONEY_SUFFIX)] = schema_of(str if is_known else str | None)
        else:
            properties[field.name] = schema_of(hints[field.name])
    for name, member in vars(shape).items():
        if isinstance(member, property) and not name.startswith("_"):
            properties[name] = schema_of(get_type_hints(member.fget).get("return", Any))
    return {"title": shape.__name__, "type": "object", "properties": properties, "required": list(properties)}


def page_of(item: Any) -> dict[str, Any]:
    """The schema of a page: `{"items": […], "next_cursor": …}`."""
    schema = schema_of(item)
    return {
        **({"title": f"PageOf{schema['title']}"} if "title" in schema else {}),
        "type": "object",
        "properties": {"items": {"type": "array", "items": schema}, "next_cursor": schema_of(str | None)},
        "required": ["items", "next_cursor"],
    }
