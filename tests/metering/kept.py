"""The last window that was kept of a device, as the store remembers it."""

from scheduler.metering.admission import Kept
from scheduler.metering.windows import Window


def kept_of(window: Window) -> Kept:
    return Kept(window.boot_id, window.sequence, window.end)
