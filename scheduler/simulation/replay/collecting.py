"""Garbage collection while a stream is made or replayed: seldom, and not of what was there before.

A replay makes some thousand objects a workload, nearly all of which are gone at once of themselves, and keeps some dozens.
Python's default has the young looked at every 700 objects that stay, and every one kept again and again.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (20_000, 20, 100)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """As Python does it by default again afterwards."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
