"""Values as JSON: one rule for every view, driven by the types of its fields.

- An instant becomes RFC 3339 in UTC.
- A field that counts GPU time becomes two: `charged` gives `charged_ms`, the exact integer, and `charged_hours`, text
  with one decimal. (`gpu_ms` gives `gpu_ms` and `gpu_hours`.)
- A field of money becomes two: `cost_micro`, the exact integer, and `cost`, its decimal text.
- Properties of a dataclass stand beside its fields; sets are sorted; an absent value is null and never 0.
"""

import dataclasses
import enum
import types
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

import orjson

from scheduler.domain.hours import hours_text
from scheduler.domain.money import decimal_text
from scheduler.domain.periods import iso
from scheduler.domain.units import Instant

GPU_TIME_FIELDS = frozenset(
    {
        "amount",
        "asked",
        "late_fee",
        "unused",
        "used_inside",
        "available",
        "booked_unused",
        "capacity",
        "charged",
        "clawed_back",
        "closing",
        "deliverable",
        "expired",
        "gpu_ms",
        "granted",
        "held",
        "held_by_pods",
        "opening",
        "outstanding",
        "overdraft",
        "overrun",
        "promised",
        "refunded",
        "transferred",
        "not_yet_charged",
        "seen_on_devices",
        "unfunded",
        "vested",
        "within_tolerance",
    }
)
"""Fields of the views that are GPU-milliseconds: charged ones, except `gpu_ms` and `capacity`, which are physical."""

MONEY_SUFFIX = "_micro"
"""Fields of money end so: micro-units."""

Render = Callable[[Any], Any]


def render(value: Any) -> Any:
    """The value in terms that JSON has."""
    shape: Any = type(value)
    return _renderer(shape)(value)


def dumps(value: Any) -> bytes:
    """The rendered value as JSON."""
    return orjson.dumps(render(value))


@lru_cache(maxsize=1024)
def _renderer(annotation: Any) -> Render:
    """How a value of that type is rendered; worked out once for each type."""
    if annotation is Instant:
        return iso
    if isinstance(annotation, NewType):
        return _renderer(annotation.__supertype__)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return _of_dataclass(annotation)
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return _of_union(get_args(annotation))
    container = origin or annotation
    if not isinstance(container, type):
        return render
    if issubclass(container, enum.Enum):
        return lambda value: value.value
    if issubclass(container, str | bytes | int | float | types.NoneType):
        return lambda value: value
    if issubclass(container, Mapping):
        return _of_mapping(get_args(annotation))
    if issubclass(container, AbstractSet):
        return lambda value: sorted(render(item) for item in value)
    if issubclass(container, Sequence):
        return _of_sequence(get_args(annotation))
    return render_unknown


def render_unknown(value: Any) -> Any:
    """A value that no rule covers is a mistake of ours, found by the first test that renders it."""
    raise TypeError(f"no rule renders a {type(value).__name__}")


def _of_union(options: tuple[Any, ...]) -> Render:
    named = [option for option in options if option is not types.NoneType]
    if len(named) == 1:
        inner = _renderer(named[0])
        return lambda value: None if value is None else inner(value)
    return render


def _of_mapping(arguments: tuple[Any, ...]) -> Render:
    inner = _renderer(arguments[1]) if len(arguments) == 2 and arguments[1] is not Any else render
    return lambda value: {str(render(key)): inner(item) for key, item in value.items()}


def _of_sequence(arguments: tuple[Any, ...]) -> Render:
    if not arguments:
        return lambda value: [render(item) for item in value]
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = arguments[:1]
    if len(arguments) == 1:
        inner = _renderer(arguments[0])
        return lambda value: [inner(item) for item in value]
    each = [_renderer(argument) for argument in arguments]
    return lambda value: [rendered(item) for rendered, item in zip(each, value, strict=True)]


def _of_dataclass(shape: type) -> Render:
    hints = get_type_hints(shape)
    plan: list[tuple[str, Render, bool]] = [
        (field.name, _renderer(hints[field.name]), field.name in GPU_TIME_FIELDS and hints[field.name] is int)
        for field in dataclasses.fields(shape)
    ]
    for name, member in vars(shape).items():
        if isinstance(member, property) and not name.startswith("_"):
            plan.append((name, _renderer(get_type_hints(member.fget).get("return", Any)), False))

    def rendered(value: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, inner, is_gpu_time in plan:
            item = getattr(value, name)
            if name.endswith(MONEY_SUFFIX):
                out[name] = item
                out[name.removesuffix(MONEY_SUFFIX)] = None if item is None else decimal_text(item, least=2)
            elif is_gpu_time:
                stem = name.removesuffix("_ms")
                out[f"{stem}_ms"] = item
                out[f"{stem}_hours"] = hours_text(item)
            else:
                out[name] = inner(item)
        return out

    return rendered
