"""The file of a trace, opened: what gzip has packed is unpacked as it is read, whatever the file is called.

A pipe is a file, too (`--sacct <(sacct -P …)`): nothing is asked of it but its bytes, once.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from scheduler.domain.errors import InvalidInput, RefusalCode

_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_PACKED_OTHERWISE = {b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip"}


@contextmanager
def opened_bytes(file: Path) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    """Raises InvalidInput `invalid-trace` where it is packed in another way, or damaged where it is unpacked."""
    with file.open("rb") as raw:
        start = raw.peek(6)
        for begin, name in _PACKED_OTHERWISE.items():
            if start.startswith(begin):
                raise _unreadable(file, f"what {name} has packed", "text, or what gzip has packed")
        try:
            yield gzip.GzipFile(fileobj=raw) if start.startswith(_GZIP) else raw
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _unreadable(file, "what gzip has packed, damaged or cut off", "the whole file") from error


@contextmanager
def opened_text(file: Path) -> Iterator[TextIO]:
    """In UTF-8, or in UTF-16 where it begins with its mark, as PowerShell keeps what a command prints. Bytes that are no
    text become U+FFFD, so that the row that has them can be named, and left out."""
    with opened_bytes(file) as content:
        encoding = "utf-16" if content.peek(2).startswith(_UTF_16) else "utf-8-sig"
        with io.TextIOWrapper(content, encoding=encoding, errors="replace", newline="") as text:
            yield text


def _unreadable(file: Path, found: str, expected: str) -> InvalidInput:
    return InvalidInput(f"found {found}", code=RefusalCode.INVALID_TRACE, where=str(file), expected=expected)
