"""Readings: what the agents said last, and which attempt has which GPU.

Written by the meter and the idle rules, read by pages and metrics. Nothing of it touches a charge.
"""

import threading
from collections.abc import Collection, Iterable

from scheduler.domain.latest import put
from scheduler.domain.units import AttemptId, GpuUuid, Instant, NodeName
from scheduler.lifecycle.memory.sightings import Sightings
from scheduler.metering.devices import Inventory
from scheduler.metering.spells import Spell
from scheduler.metering.use import Metered
from scheduler.metering.windows import Window


class Readings:
    """Of each node its inventory, of each GPU its latest window, and what the idle rules have not looked at."""

    def __init__(self) -> None:
        self.inventories: dict[NodeName, Inventory] = {}
        """What each node's agent says is there."""
        self.windows: dict[GpuUuid, Window] = {}
        """The latest of each GPU."""
        self.attempt_of_gpu: dict[GpuUuid, AttemptId] = {}
        """As far as it is known."""
        self.idle_since: dict[AttemptId, Instant] = {}
        """Attempts whose GPUs all rest, by the idle rules."""
        self.sightings = Sightings()
        self._unjudged: dict[AttemptId, list[tuple[GpuUuid, Spell]]] = {}
        """What came of an attempt's GPUs since the idle rules last looked."""
        self._lock = threading.Lock()

    def put_inventory(self, inventory: Inventory) -> None:
        with self._lock:
            self.inventories[inventory.node] = inventory

    def put_metered(self, metered: Iterable[Metered], live: Collection[AttemptId]) -> None:
        """Take windows with what was made of them; the idle rules judge those of `live` attempts alone."""
        with self._lock:
            for item in metered:
                window = item.window
                known = self.windows.get(window.gpu_uuid)
                if known is None or known.end < window.end:
                    self.windows[window.gpu_uuid] = window
                    put(self.attempt_of_gpu, window.gpu_uuid, item.attempt_id)
                if item.attempt_id is not None and item.attempt_id in live:
                    self._unjudged.setdefault(item.attempt_id, []).append((window.gpu_uuid, item.spell))

    def note_rest(self, attempt_id: AttemptId, since: Instant | None) -> None:
        """All its GPUs rest since then; None: they do not."""
        with self._lock:
            put(self.idle_since, attempt_id, since)

    def take_unjudged(self) -> dict[AttemptId, list[tuple[GpuUuid, Spell]]]:
        with self._lock:
            taken, self._unjudged = self._unjudged, {}
        return taken

    def forget(self, attempt_id: AttemptId) -> None:
        """It has ended: the idle rules have nothing more to judge of it."""
        with self._lock:
            self._unjudged.pop(attempt_id, None)
            self.idle_since.pop(attempt_id, None)
