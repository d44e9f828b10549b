"""What of the simulated cluster has changed and not been told yet."""

from collections.abc import Iterable, Mapping
from typing import Any

from scheduler.domain.cluster import Node
from scheduler.domain.observations import ClusterChanges, Disruption, ObservedJob, ObservedPod, PodPhase
from scheduler.domain.units import JobUid, NodeName, PodUid
from scheduler.simulation.jobs import SimulatedJob, SimulatedPod, observed_job, observed_pod


class Pending:
    """Gathers changes: of each object the latest state alone."""

    def __init__(self) -> None:
        self.nodes: set[NodeName] = set()
        self.jobs: dict[JobUid, ObservedJob | None] = {}
        self.pods: dict[PodUid, ObservedPod] = {}

    def __bool__(self) -> bool:
        return bool(self.nodes or self.jobs or self.pods)

    def put_job(self, job: SimulatedJob) -> None:
        job.revision += 1
        self.jobs[job.uid] = observed_job(job)

    def put_pod(self, job: SimulatedJob, pod: SimulatedPod) -> None:
        """A pod that changes changes its Job's counts."""
        self.pods[pod.uid] = observed_pod(job, pod)
        self.put_job(job)

    def take(self, nodes: Mapping[NodeName, Node]) -> ClusterChanges:
        """Everything gathered; `nodes` are the present states of all nodes."""
        changes = ClusterChanges(
            {name: nodes[name] for name in sorted(self.nodes)}, self.jobs, tuple(self.pods.values())
        )
        self.nodes, self.jobs, self.pods = set(), {}, {}
        return changes

    def take_gone(self) -> tuple[ObservedPod, ...]:
        """The last states of pods that are gone, which no list shows any more; the rest is forgotten."""
        gone = tuple(pod for pod in self.pods.values() if pod.is_gone)
        self.nodes, self.jobs, self.pods = set(), {}, {}
        return gone

    def export(self) -> list[ObservedPod]:
        """What a list taken after a restart would not show."""
        return [pod for pod in self.pods.values() if pod.is_gone]

    def restore(self, state: Iterable[dict[str, Any]]) -> None:
        for raw in state:
            disruption = Disruption(raw["disruption"]) if raw.get("disruption") else None
            pod = ObservedPod(**{**raw, "phase": PodPhase(raw["phase"]), "disruption": disruption})
            self.pods[pod.uid] = pod
