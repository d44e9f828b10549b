"""When each pod was last seen on a GPU: evidence that it ran, where neither kubelet nor Job will ever say when it ended.
And the last Xid of each GPU."""

import threading

from scheduler.domain.units import Instant, PodUid
from scheduler.metering.last_xids import LastXids
from scheduler.metering.windows import Window

PODS_MAX = 20_000
"""The pods seen last; an end is looked for within minutes of the last sighting."""


class Sightings:
    """Written by the meter, read by the cycle."""

    def __init__(self) -> None:
        self._seen: dict[PodUid, Instant] = {}
        self._lock = threading.Lock()
        self.xids = LastXids()

    def note(self, window: Window) -> None:
        """A reading that found one of its processes proves that a pod ran then, and nothing about later."""
        self.xids.note(window)
        with self._lock:
            for process in window.processes or ():
                if process.pod_uid is not None and process.seen_until is not None:
                    last = self._seen.pop(process.pod_uid, process.seen_until)
                    self._seen[process.pod_uid] = max(last, process.seen_until)
            while len(self._seen) > PODS_MAX:
                del self._seen[next(iter(self._seen))]

    def later_of(self, pod_uid: PodUid, known: Instant | None, now: Instant) -> Instant | None:
        """The last evidence that the pod ran: what is known otherwise, or a sighting after it. A node's clock that is ahead
        of ours proves nothing of what is to come."""
        seen = self._seen.get(pod_uid)
        return max((min(at, now) for at in (known, seen) if at is not None), default=None)
