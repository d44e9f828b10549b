"""When each pod was last seen on a GPU: evidence that it ran, where neither kubelet nor Job will ever say when it ended.
And the last Xid of each GPU."""

import threading

from scheduler.domain.units import Instant, NodeName, PodUid
from scheduler.metering.last_xids import LastXids
from scheduler.metering.windows import Window

PODS_MAX = 20_000
"""The pods seen last; an end is looked for within minutes of the last sighting."""


class Sightings:
    """Written by the meter, read by the cycle."""

    def __init__(self) -> None:
        self._seen: dict[tuple[NodeName, PodUid], Instant] = {}
        self._lock = threading.Lock()
        self.xids = LastXids()

    def note(self, window: Window) -> None:
        """A reading that found one of its processes proves that a pod ran there then, and nothing about later."""
        self.xids.note(window)
        with self._lock:
            for process in window.processes or ():
                if process.pod_uid is not None and process.seen_until is not None:
                    place = (window.node, process.pod_uid)
                    last = self._seen.pop(place, process.seen_until)
                    self._seen[place] = max(last, process.seen_until)
            while len(self._seen) > PODS_MAX:
                del self._seen[next(iter(self._seen))]

    def later_of(self, pod_uid: PodUid, node: NodeName | None, known: Instant | None, now: Instant) -> Instant | None:
        """The last evidence that the pod ran: what is known otherwise, or a sighting after it. A node's clock that is ahead
        of ours proves nothing of what is to come, and what another node tells nothing of a pod of this one."""
        seen = self._seen.get((node, pod_uid)) if node is not None else None
        return max((min(at, now) for at in (known, seen) if at is not None), default=None)
