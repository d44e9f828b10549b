"""What is going to happen in the simulation, in the order of its instants."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from scheduler.domain.units import Instant, JobUid, NodeName, PodUid
from scheduler.simulation.jobs import SimulatedJob, SimulatedPod


class EventKind(StrEnum):
    START = "start"
    CHECKPOINT = "checkpoint"
    FINISH = "finish"
    TERMINATE = "terminate"
    EVICT = "evict"
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """What happens when; ties go in the order in which they were planned. `launch` voids what a later launch outdates."""

    at: Instant
    order: int
    kind: EventKind = field(compare=False)
    job_uid: JobUid | None = field(compare=False, default=None)
    pod_uid: PodUid | None = field(compare=False, default=None)
    node: NodeName | None = field(compare=False, default=None)
    launch: int = field(compare=False, default=0)


class Timeline:
    """Where simulated time has come to, and a priority queue of what lies ahead."""

    def __init__(self) -> None:
        self.now = Instant(0)
        self._heap: list[Event] = []
        self._numbers = 0

    @property
    def next_at(self) -> Instant | None:
        return self._heap[0].at if self._heap else None

    def next_number(self) -> int:
        """Grows with each call, over restarts as well."""
        self._numbers += 1
        return self._numbers

    def plan(
        self,
        in_ms: int,
        kind: EventKind,
        job: SimulatedJob | None = None,
        pod: SimulatedPod | None = None,
        *,
        node: NodeName | None = None,
    ) -> None:
        event = Event(
            at=Instant(self.now + in_ms),
            order=self.next_number(),
            kind=kind,
            job_uid=job.uid if job is not None else None,
            pod_uid=pod.uid if pod is not None else None,
            node=node,
            launch=job.launches if job is not None else 0,
        )
        heapq.heappush(self._heap, event)

    def pop_due(self, until: Instant) -> Event | None:
        """The next event, if it lies no later than that: time has then come to its instant."""
        if not self._heap or self._heap[0].at > until:
            return None
        event = heapq.heappop(self._heap)
        self.now = max(self.now, event.at)
        return event

    def export(self) -> dict[str, Any]:
        return {"now": self.now, "numbers": self._numbers, "events": sorted(self._heap)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.now, self._numbers = Instant(state["now"]), state["numbers"]
        self._heap = [Event(**{**event, "kind": EventKind(event["kind"])}) for event in state["events"]]
        heapq.heapify(self._heap)
