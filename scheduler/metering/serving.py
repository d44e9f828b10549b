"""From the connections that pods have accepted by two instants to which of them served anybody in between."""

from collections import deque
from collections.abc import Mapping

from scheduler.domain.units import Instant, PodUid
from scheduler.metering.cpu_use import READINGS_KEPT


class Serving:
    """The pods' counters at the instants of the latest readings."""

    def __init__(self) -> None:
        self._read: deque[tuple[Instant, Mapping[PodUid, int]]] = deque(maxlen=READINGS_KEPT)

    def note(self, at: Instant, accepted: Mapping[PodUid, int] | None) -> None:
        if accepted is not None:
            self._read.append((at, accepted))

    def between(self, start: Instant, end: Instant) -> tuple[PodUid, ...] | None:
        """None where either end was not read. Of a pod that was not there at the start nothing is said yet."""
        at_start, at_end = self._at(start), self._at(end)
        if at_start is None or at_end is None or end <= start:
            return None
        return tuple(sorted(uid for uid in at_end.keys() & at_start.keys() if at_end[uid] > at_start[uid]))

    def _at(self, instant: Instant) -> Mapping[PodUid, int] | None:
        return next((accepted for at, accepted in self._read if at == instant), None)
