"""The shapes of answers as OpenAPI's components: what has a name is said once, and a generated client has one class of it.

Written out wherever it occurs, a shape has as many names in a generated client as places, and generators leave out the
answers in which two of these are the same.
"""

from collections.abc import Mapping
from typing import Any

_PREFIX = "#/components/schemas/"


def with_components(made: dict[str, Any]) -> dict[str, Any]:
    """The description, with every named shape of an answer moved to its components and referred to.

    Raises ValueError where two different shapes have one name.
    """
    shapes: dict[str, Any] = made["components"]["schemas"]
    for methods in made["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                for media in answer.get("content", {}).values():
                    media["schema"] = _referred(media["schema"], shapes)
    return made


def _referred(schema: Any, shapes: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_referred(each, shapes) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    inner = {key: _referred(value, shapes) for key, value in schema.items()}
    # A property may be called `title`, too: then it is a schema of its own.
    name = inner.get("title")
    if inner.get("type") != "object" or not isinstance(name, str):
        return inner
    if shapes.setdefault(name, inner) != inner:
        raise ValueError(f"two shapes of the API are called {name}")
    return {"$ref": f"{_PREFIX}{name}"}
