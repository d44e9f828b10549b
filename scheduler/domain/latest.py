"""Latest: a mapping that has of each key the latest value, and none of what is gone."""

from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


def put(mapping: dict[_K, _V], key: _K, value: _V | None) -> None:
    """Take the latest of a key: its value, or None where it is gone."""
    if value is None:
        mapping.pop(key, None)
    else:
        mapping[key] = value
