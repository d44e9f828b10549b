"""The last Xid of each device, for some minutes: whoever asks less often than windows end would not hear of it."""

from dataclasses import replace
from typing import Final

from scheduler.domain.units import MS_PER_MINUTE, GpuUuid, Instant
from scheduler.metering.windows import Window

SHOWN_MS: Final = 5 * MS_PER_MINUTE


class LastXids:
    """One for each device that ever had any."""

    def __init__(self) -> None:
        self._last: dict[GpuUuid, tuple[Instant, int]] = {}

    def note(self, window: Window) -> None:
        """A window that comes late says nothing of what came after it."""
        known = self._last.get(window.gpu_uuid)
        if window.xids and (known is None or known[0] <= window.end):
            self._last[window.gpu_uuid] = window.end, window.xids[-1]

    def shown_with(self, window: Window) -> Window:
        """The window with the last Xid of the minutes up to its end, where it has none itself."""
        known = self._last.get(window.gpu_uuid)
        if window.xids or known is None or not window.end - SHOWN_MS < known[0] <= window.end:
            return window
        return replace(window, xids=(known[1],))
