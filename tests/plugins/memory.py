"""A folder in memory for databases that a test opens and drops: on a disk, who commits waits until it is written.

For data alone: where it is a container's, nothing in it can be run.
"""

import os
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

_MEMORY = Path("/dev/shm")
_NEEDED_BYTES = 1 << 30
"""Many times what the open SQLite databases of all workers take: a megabyte each, tens in the nightly run's longest."""


def in_memory(needed_bytes: int) -> Path | None:
    """None where there is none that may be written, or less room in it."""
    has_room = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > needed_bytes
    return _MEMORY if has_room else None


def folder_for_databases() -> "TemporaryDirectory[str]":
    """It goes when it is closed; in memory where there is room."""
    return TemporaryDirectory(prefix="allot-", dir=_place())


@cache
def _place() -> Path | None:
    return in_memory(_NEEDED_BYTES)
