"""What happens to pods on machines: bound, started, ended, gone. The simulation's kube-scheduler and kubelets."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from scheduler.domain.cluster import GpuClass, Node, PodRequest
from scheduler.domain.observations import PodPhase
from scheduler.domain.units import MS_PER_HOUR, MS_PER_SECOND, GpuClassName, Instant, JobUid, NodeName, PodUid
from scheduler.simulation.events import EventKind, Timeline
from scheduler.simulation.fates import Pattern
from scheduler.simulation.jobs import SimulatedJob, SimulatedPod
from scheduler.simulation.occupancy import Occupancy, Occupied, node_of
from scheduler.simulation.pending import Pending

IMAGE_PULL_MS = 25 * MS_PER_SECOND
"""The first pod of an image on a node waits so much longer: some ten GB over a fast registry."""
STAYS_KEPT_MS = MS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Stay:
    """Who had these GPUs of a node until when: what reads them later than it should has to know."""

    node: NodeName
    gpu_indexes: tuple[int, ...]
    pod_uid: PodUid
    pattern: Pattern
    running_since: Instant
    until: Instant


class Kubelets:
    """Pods on machines. Each change of a pod is put among the pending ones."""

    def __init__(self, occupancy: Occupancy, timeline: Timeline, pending: Pending) -> None:
        self._occupancy = occupancy
        self._timeline = timeline
        self._pending = pending
        self._unbound: dict[NodeName, dict[PodUid, tuple[SimulatedJob, SimulatedPod]]] = {}
        self._bound: dict[NodeName, dict[PodUid, SimulatedJob]] = {}
        self._accounted: set[JobUid] = set()
        self._stays: deque[Stay] = deque()
        """Those of the last hour that are over, the latest at the end."""

    def make_pod(self, job: SimulatedJob, target: NodeName, index: int) -> None:
        """The Job's pod of a completion index, which is to run on that node as soon as it fits there."""
        made = job.pods_made
        job.pods_made += 1
        uid = PodUid(str(uuid5(NAMESPACE_URL, f"{job.uid}/{made}")))
        digest = hashlib.sha256(uid.encode()).hexdigest()[:5]
        pod = SimulatedPod(
            uid, f"{job.name}-{made}-{digest}", target, job.attempt_id, index, waiting_reason="Unschedulable"
        )
        job.pods[uid] = pod
        self._unbound.setdefault(target, {})[uid] = (job, pod)
        if not self._bind(job, pod):
            self._pending.put_pod(job, pod)

    def start(self, job: SimulatedJob, pod: SimulatedPod) -> bool:
        """Its container starts, unless it was told to go or nobody is there to start it."""
        if not pod.is_live or pod.deleted_at is not None or not self.is_ready(pod.node):
            return False
        now = self._timeline.now
        pod.phase, pod.started_at, pod.evidence_at, pod.waiting_reason = PodPhase.RUNNING, now, now, ""
        self._pending.put_pod(job, pod)
        return True

    def terminate(self, job: SimulatedJob, pod: SimulatedPod) -> None:
        """SIGTERM: it ends within its grace. One that never started goes at once."""
        if pod.deleted_at is not None:
            return
        pod.deleted_at = self._timeline.now
        job.revision += 1
        if pod.started_at is None:
            self.drop(job, pod)
        elif self.is_ready(pod.node):
            self._timeline.plan(_used_of_grace_ms(job), EventKind.TERMINATE, job, pod)
            self._pending.put_pod(job, pod)

    def end(self, job: SimulatedJob, pod: SimulatedPod, phase: PodPhase, exit_code: int) -> None:
        """Its containers have ended. One that was told to go is gone with that."""
        now = self._timeline.now
        pod.phase, pod.exit_code, pod.finished_at, pod.evidence_at = phase, exit_code, now, now
        self._free(job, pod)
        self._pending.put_pod(job, pod)
        if pod.deleted_at is not None:
            self.drop(job, pod)

    def end_terminated(self, job: SimulatedJob, pod: SimulatedPod) -> None:
        """It ended on SIGTERM (143), or was killed at the end of its grace (137)."""
        is_killed = job.fate.termination_ms > job.grace_seconds * MS_PER_SECOND
        self.end(job, pod, PodPhase.FAILED, 137 if is_killed else 143)

    def drop(self, job: SimulatedJob, pod: SimulatedPod) -> None:
        """Its object goes: its last state is reported, and what it still held is free."""
        if pod.is_live:
            self._free(job, pod)
        self._unbound.get(pod.target, {}).pop(pod.uid, None)
        pod.is_gone = True
        job.pods.pop(pod.uid, None)
        self._pending.put_pod(job, pod)

    def cordon(self, name: NodeName, *, is_cordoned: bool) -> None:
        self._require(name).is_cordoned = is_cordoned
        self._pending.nodes.add(name)
        self._bind_waiting(name)

    def lose(self, name: NodeName, pods: Iterable[tuple[SimulatedJob, SimulatedPod]]) -> None:
        """The node stops answering: what was running on it was last seen now."""
        self._require(name).is_ready = False
        self._pending.nodes.add(name)
        for job, pod in pods:
            if pod.is_running:
                pod.evidence_at = self._timeline.now
                self._pending.put_pod(job, pod)

    def recover(self, name: NodeName, pods: Iterable[tuple[SimulatedJob, SimulatedPod]]) -> None:
        """The node answers again: what its pods missed meanwhile comes to pass now."""
        self._require(name).is_ready = True
        self._pending.nodes.add(name)
        for job, pod in pods:
            if pod.deleted_at is not None:
                self._timeline.plan(0, EventKind.TERMINATE, job, pod)
            elif pod.started_at is None:
                self._timeline.plan(job.fate.start_ms, EventKind.START, job, pod)
        self._bind_waiting(name)

    def account_for(self, jobs: Mapping[JobUid, int]) -> None:
        """See the port. Nobody makes a Job larger here: its pods are all accounted for, or none is."""
        moved = {uid for uid, pods in jobs.items() if bool(pods) != (uid in self._accounted)}
        self._accounted ^= moved
        for name, pods in self._bound.items():
            if any(job.uid in moved for job in pods.values()):
                self._pending.nodes.add(name)

    def is_ready(self, name: NodeName | None) -> bool:
        return name is None or self._require(name).is_ready

    def nodes(self, classes: Mapping[GpuClassName, GpuClass]) -> dict[NodeName, Node]:
        """Every node as it is reported under these classes."""
        return {
            node.machine.name: node_of(node, classes, self._outside_on(node.machine.name)) for node in self._occupancy
        }

    def _outside_on(self, name: NodeName) -> list[PodRequest]:
        jobs = (job for job in self._bound.get(name, {}).values() if job.uid not in self._accounted)
        return [PodRequest(job.gpus, job.cpu_milli, job.memory_mib) for job in jobs]

    def stays_since(self, since: Instant) -> Iterator[Stay]:
        """Those that ended after then, as far back as they are kept; the latest first."""
        for stay in reversed(self._stays):
            if stay.until <= since:
                return
            yield stay

    def put_back(self, job: SimulatedJob) -> None:
        """The pods of a Job that was kept: they have what they had."""
        for pod in job.live_pods:
            if pod.node is None:
                self._unbound.setdefault(pod.target, {})[pod.uid] = (job, pod)
            else:
                self._occupancy.take_again(pod.node, pod.gpu_indexes, job.cpu_milli, job.memory_mib)
                self._bound.setdefault(pod.node, {})[pod.uid] = job

    def _bind(self, job: SimulatedJob, pod: SimulatedPod) -> bool:
        indexes = self._occupancy.take(pod.target, job.gpus, job.cpu_milli, job.memory_mib)
        if indexes is None:
            return False
        del self._unbound[pod.target][pod.uid]
        node = self._require(pod.target)
        pod.node, pod.gpu_indexes, pod.waiting_reason = pod.target, indexes, "ContainerCreating"
        pull_ms = 0 if job.image in node.images else IMAGE_PULL_MS
        node.images.add(job.image)
        self._bound.setdefault(pod.target, {})[pod.uid] = job
        self._note_outside(job, pod.target)
        self._timeline.plan(job.fate.start_ms + pull_ms, EventKind.START, job, pod)
        self._pending.put_pod(job, pod)
        return True

    def _free(self, job: SimulatedJob, pod: SimulatedPod) -> None:
        if pod.node is not None:
            self._note_stay(job, pod, pod.node)
            indexes, pod.gpu_indexes = pod.gpu_indexes, ()
            self._occupancy.give_back(pod.node, indexes, job.cpu_milli, job.memory_mib)
            del self._bound[pod.node][pod.uid]
            self._note_outside(job, pod.node)
            self._bind_waiting(pod.node)

    def _note_stay(self, job: SimulatedJob, pod: SimulatedPod, node: NodeName) -> None:
        now = self._timeline.now
        if pod.started_at is not None:
            self._stays.append(Stay(node, pod.gpu_indexes, pod.uid, job.fate.pattern, pod.started_at, now))
        while self._stays and self._stays[0].until < now - STAYS_KEPT_MS:
            self._stays.popleft()

    def _note_outside(self, job: SimulatedJob, name: NodeName) -> None:
        """What nobody accounts for changes what the node has for us."""
        if job.uid not in self._accounted:
            self._pending.nodes.add(name)

    def _bind_waiting(self, name: NodeName) -> None:
        for job, pod in list(self._unbound.get(name, {}).values()):
            self._bind(job, pod)

    def _require(self, name: NodeName) -> Occupied:
        node = self._occupancy.find(name)
        if node is None:
            raise LookupError(f"there is no simulated node {name}")
        return node


def _used_of_grace_ms(job: SimulatedJob) -> int:
    return min(job.fate.termination_ms, job.grace_seconds * MS_PER_SECOND)
