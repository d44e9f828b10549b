"""From the CPU time that pods have used by two instants to what they used in between."""

from collections import deque
from collections.abc import Mapping

from scheduler.domain.units import Instant, PodUid
from scheduler.metering.windows import CPU_MILLICORES_MIN, PodCpu

READINGS_KEPT = 64
"""More than any window has samples: an older one is of a window that is closed."""


class CpuUse:
    """The pods' counters at the instants of the latest readings, in microseconds."""

    def __init__(self) -> None:
        self._read: deque[tuple[Instant, Mapping[PodUid, int]]] = deque(maxlen=READINGS_KEPT)

    def note(self, at: Instant, used: Mapping[PodUid, int] | None) -> None:
        if used is not None:
            self._read.append((at, used))

    def between(self, start: Instant, end: Instant) -> tuple[PodCpu, ...] | None:
        """Whoever used at least CPU_MILLICORES_MIN. None where either end was not read, so that nothing can be said. A pod
        that began in between used all that it has; a counter that went back is another pod's group, and left out."""
        at_start, at_end = self._at(start), self._at(end)
        if at_start is None or at_end is None or end <= start:
            return None
        busy = []
        for pod_uid in sorted(at_end):
            millicores = (at_end[pod_uid] - at_start.get(pod_uid, 0)) // (end - start)
            if millicores >= CPU_MILLICORES_MIN:
                busy.append(PodCpu(pod_uid, millicores))
        return tuple(busy)

    def _at(self, instant: Instant) -> Mapping[PodUid, int] | None:
        return next((used for at, used in self._read if at == instant), None)
