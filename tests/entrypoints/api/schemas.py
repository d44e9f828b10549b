"""Whether a value is what a schema of the API's description says."""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]


def wrong(value: Any, schema: Schema, described: Schema, place: str = "answer") -> Iterator[str]:
    """Where the value is not as its schema says, one of that description of the API."""
    if reference := schema.get("$ref"):
        yield from wrong(value, described["components"]["schemas"][reference.rpartition("/")[2]], described, place)
        return
    kinds = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list, "null": type(None)}
    if "anyOf" in schema:
        if all(list(wrong(value, option, described, place)) for option in schema["anyOf"]):
            yield place
        return
    kind = kinds.get(schema.get("type", ""))
    if kind is None:
        return
    is_of_it = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if not is_of_it or value not in schema.get("enum", [value]):
        yield f"{place} is {value!r}"
    elif kind is dict:
        if missing := set(schema.get("required", ())) - set(value):
            yield f"{place} lacks {sorted(missing)}"
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                yield from wrong(value[name], inner, described, f"{place}.{name}")
    elif kind is list and "items" in schema:
        for item in value:
            yield from wrong(item, schema["items"], described, f"{place}[]")
