"""The company's public key on the command line, as people pass it on. Loads nothing that reads settings or buckets."""

from contextlib import suppress
from pathlib import Path

from scheduler.adapters.signing import read_public_key

_KEY_HEX = 64


def public_key_of(text: str) -> bytes:
    """A public key as 64 hex digits or a PEM file. Raises InvalidInput."""
    if len(text) == _KEY_HEX and not Path(text).exists():
        with suppress(ValueError):
            return bytes.fromhex(text)
    return read_public_key(Path(text))
