"""The simulated cluster: Jobs over a timeline of events. Knows no clock: whoever drives it says how far to go.

What it does to Jobs and pods is what Kubernetes does: whole-second stamps, a generation that grows with the spec,
image pulls, SIGTERM and the grace, pods that are gone once their end is recorded. Everything it reports is simulated.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from scheduler.domain.cluster import GpuClass, Placement
from scheduler.domain.observations import ClusterChanges, Disruption, PodPhase
from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, AttemptId, GpuClassName, Instant, JobUid, NodeName
from scheduler.domain.workloads import Workload
from scheduler.simulation.events import Event, EventKind, Timeline
from scheduler.simulation.fates import Fate
from scheduler.simulation.jobs import (
    SimulatedJob,
    SimulatedPod,
    job_from_json,
    job_to_json,
    observed_job,
    observed_pod,
)
from scheduler.simulation.kubelets import Kubelets, Stay
from scheduler.simulation.machines import Machine
from scheduler.simulation.occupancy import Occupancy
from scheduler.simulation.pending import Pending

EVICTION_MS = 340 * MS_PER_SECOND
"""Until the pods of a lost node are given up: the node monitor's 40 s and the default toleration's 300 s."""
FINISHED_KEPT_MS = 3_600 * MS_PER_SECOND
"""How long a Job stays after its end, as ttlSecondsAfterFinished."""
STATE_VERSION = 1
SPELLED_AT_ONCE = 50


class ClusterModel:
    """Machines, Jobs and pods, and what changed since the last `drain`. Not safe for threads."""

    def __init__(self, machines: Iterable[Machine], fate_of: Callable[[Workload], Fate]) -> None:
        self.machines = tuple(machines)
        self.jobs: dict[JobUid, SimulatedJob] = {}
        self._fate_of = fate_of
        self._by_name: dict[tuple[str, str], JobUid] = {}
        self._texts: dict[JobUid, tuple[int, orjson.Fragment]] = {}
        self._classes: dict[GpuClassName, GpuClass] = {}
        self._occupancy = Occupancy(self.machines)
        self._timeline = Timeline()
        self._pending = Pending()
        self._kubelets = Kubelets(self._occupancy, self._timeline, self._pending)

    # what is asked of it

    @property
    def now(self) -> Instant:
        return self._timeline.now

    @property
    def next_event_at(self) -> Instant | None:
        return self._timeline.next_at

    @property
    def has_changes(self) -> bool:
        return bool(self._pending)

    def job_named(self, namespace: str, name: str) -> SimulatedJob | None:
        uid = self._by_name.get((namespace, name))
        return None if uid is None else self.jobs[uid]

    def drain(self) -> ClusterChanges:
        """What changed since the last call."""
        return self._pending.take(self._kubelets.nodes(self._classes) if self._pending.nodes else {})

    def relist(self) -> ClusterChanges:
        """Everything there is; what of the changes was pending is in it."""
        pods = [observed_pod(job, pod) for job in self.jobs.values() for pod in job.pods.values()]
        return ClusterChanges(
            nodes=self._kubelets.nodes(self._classes),
            jobs={uid: observed_job(job) for uid, job in self.jobs.items()},
            pods=(*self._pending.take_gone(), *pods),
            is_relist=True,
        )

    # what is done to it

    def use_classes(self, classes: Mapping[GpuClassName, GpuClass]) -> None:
        if dict(classes) != self._classes:
            self._classes = dict(classes)
            self._pending.nodes.update(machine.name for machine in self.machines)

    def account_for(self, jobs: Mapping[JobUid, int]) -> None:
        """See the port."""
        self._kubelets.account_for(jobs)

    def advance(self, now: Instant) -> None:
        """Let everything happen that is due by `now`, each at its own instant."""
        while (event := self._timeline.pop_due(now)) is not None:
            self._happen(event)
        self._timeline.now = max(self._timeline.now, now)

    def create(self, workload: Workload) -> SimulatedJob:
        """A suspended Job for the workload. The caller has seen that its name is free."""
        name = f"{workload.namespace}/{workload.job_name}/{self._timeline.next_number()}"
        spec = workload.spec
        job = SimulatedJob(
            uid=JobUid(str(uuid5(NAMESPACE_URL, name))),
            name=workload.job_name,
            namespace=workload.namespace,
            created_at=self.now,
            workload_id=workload.id,
            spec_hash=spec_hash(workload),
            fate=self._fate_of(workload),
            gpus=spec.pod.gpus,
            cpu_milli=spec.pod.cpu_milli,
            memory_mib=spec.pod.memory_mib,
            image=spec.image,
            grace_seconds=spec.grace_seconds,
            parallelism=spec.pods,
        )
        self.jobs[job.uid] = job
        self._by_name[job.namespace, job.name] = job.uid
        self._pending.put_job(job)
        return job

    def launch(self, job: SimulatedJob, attempt_id: AttemptId, placement: Placement) -> None:
        """Unsuspend with pods for these nodes. The caller has seen that the Job is suspended and has none."""
        job.generation += 1
        job.launches += 1
        job.is_suspended = False
        job.attempt_id = attempt_id
        job.parallelism = placement.pods
        for index, node in enumerate(_nodes_by_index(placement)):
            self._kubelets.make_pod(job, node, index)
        self._pending.put_job(job)

    def resize(self, job: SimulatedJob, placement: Placement) -> None:
        """Let it have as many pods as the placement has: those of higher indexes are told to end, those that lack are
        made. Its work goes on, as that of an elastic job does."""
        before, job.parallelism = job.parallelism, placement.pods
        job.generation += 1
        if job.is_suspended or job.has_ended or job.is_deleted:
            self._pending.put_job(job)
            return
        for pod in job.live_pods:
            if pod.index >= placement.pods:
                self._kubelets.terminate(job, pod)
        for index, node in enumerate(_nodes_by_index(placement)):
            if index >= before:
                self._kubelets.make_pod(job, node, index)
        if job.live_pods:
            self._begin_work(job)
        self._settle(job)

    def suspend(self, job: SimulatedJob) -> None:
        """Suspend, which tells its pods to end. A Job that is suspended or has ended runs nothing anyway."""
        if job.is_suspended:
            return
        job.generation += 1
        job.is_suspended, job.suspended_at = True, self.now
        self._terminate_pods(job)
        self._settle(job)

    def delete(self, job: SimulatedJob) -> None:
        """In the foreground: it stays, being deleted, until its last pod has ended."""
        job.is_deleted = True
        self._terminate_pods(job)
        self._settle(job)

    def cordon(self, name: NodeName, *, is_cordoned: bool = True) -> None:
        """Take no new pods there, or take them again."""
        self._kubelets.cordon(name, is_cordoned=is_cordoned)

    def lose(self, name: NodeName) -> None:
        """The node stops answering: its pods run unseen, and are given up after a while."""
        self._kubelets.lose(name, self.pods_on(name))
        self._timeline.plan(EVICTION_MS, EventKind.EVICT, node=name)

    def recover(self, name: NodeName) -> None:
        self._kubelets.recover(name, self.pods_on(name))

    def is_ready(self, name: NodeName) -> bool:
        """Whether the node answers."""
        return self._kubelets.is_ready(name)

    def pods_on(self, name: NodeName) -> list[tuple[SimulatedJob, SimulatedPod]]:
        """The pods that hold something of the node, with their Jobs."""
        return [(job, pod) for job in self.jobs.values() for pod in job.live_pods if pod.node == name]

    def stays_since(self, since: Instant) -> Iterator[Stay]:
        """Who had GPUs and ended after then, within the last hour; the latest first."""
        return self._kubelets.stays_since(since)

    # what happens

    def _happen(self, event: Event) -> None:
        if event.node is not None:
            self._evict(event.node)
            return
        job = self.jobs.get(event.job_uid) if event.job_uid is not None else None
        if job is None or event.launch != job.launches:
            return
        pod = job.pods.get(event.pod_uid) if event.pod_uid is not None else None
        is_working = job.running_since is not None and job.active > 0
        match event.kind:
            case EventKind.START if pod is not None:
                self._start(job, pod)
            case EventKind.CHECKPOINT if is_working:
                self._checkpoint(job)
            case EventKind.FINISH if is_working:
                self._finish(job)
            case EventKind.TERMINATE if pod is not None and pod.is_live and self._kubelets.is_ready(pod.node):
                self._kubelets.end_terminated(job, pod)
                self._settle(job)
            case EventKind.EXPIRE:
                self._remove(job)

    def _start(self, job: SimulatedJob, pod: SimulatedPod) -> None:
        """A gang's work begins when its last member has come."""
        if self._kubelets.start(job, pod):
            self._begin_work(job)

    def _begin_work(self, job: SimulatedJob) -> None:
        if job.running_since is not None or not all(other.is_running for other in job.live_pods):
            return
        job.running_since = self.now
        job.revision += 1
        fate = job.fate
        if fate.checkpoint_every_ms:
            self._timeline.plan(fate.checkpoint_every_ms, EventKind.CHECKPOINT, job)
        if fate.run_ms is not None:
            self._timeline.plan(max(0, fate.run_ms - job.done_ms), EventKind.FINISH, job)

    def _checkpoint(self, job: SimulatedJob) -> None:
        job.done_ms += job.fate.checkpoint_every_ms
        job.checkpointed_at = self.now
        self._pending.put_job(job)
        self._timeline.plan(job.fate.checkpoint_every_ms, EventKind.CHECKPOINT, job)

    def _finish(self, job: SimulatedJob) -> None:
        """It ends by itself: all pods well, or one badly and the others with it, as `backoffLimit: 0` has it."""
        if not all(self._kubelets.is_ready(pod.node) for pod in job.live_pods):
            self._timeline.plan(MS_PER_MINUTE, EventKind.FINISH, job)  # nobody could see its end
            return
        first, *others = job.live_pods
        code = job.fate.exit_code
        if code == 0:
            for pod in (first, *others):
                self._kubelets.end(job, pod, PodPhase.SUCCEEDED, 0)
        else:
            job.failing = f"BackoffLimitExceeded: pod {first.name} ended with exit code {code}"
            self._kubelets.end(job, first, PodPhase.FAILED, code)
            self._terminate_pods(job)
        self._settle(job)

    def _terminate_pods(self, job: SimulatedJob) -> None:
        for pod in job.live_pods:
            self._kubelets.terminate(job, pod)

    def _evict(self, name: NodeName) -> None:
        """Pods of a node that is still lost are deleted without anybody having seen their end."""
        if self._kubelets.is_ready(name):
            return
        for job, pod in self.pods_on(name):
            if pod.is_gone:
                continue  # it went with another of its Job
            pod.deleted_at = pod.deleted_at or self.now
            pod.disruption = Disruption.TAINTED
            if not job.is_suspended:
                job.failing = job.failing or f"NodeLost: node {name} did not answer"
            self._kubelets.drop(job, pod)
            self._terminate_pods(job)
            self._settle(job)

    def _settle(self, job: SimulatedJob) -> None:
        """What a Job becomes once no pod of it is left."""
        if not job.live_pods:
            job.running_since = None
            if job.is_deleted:
                self._remove(job)
                return
            if (job.failing or not job.is_suspended) and not job.has_ended:
                job.is_failed, job.is_complete = bool(job.failing), not job.failing
                job.ended_at = self.now
                self._timeline.plan(FINISHED_KEPT_MS, EventKind.EXPIRE, job)
        self._pending.put_job(job)

    def _remove(self, job: SimulatedJob) -> None:
        if job.uid not in self.jobs:
            return
        for pod in list(job.pods.values()):
            self._kubelets.drop(job, pod)
        del self.jobs[job.uid]
        self._texts.pop(job.uid, None)
        del self._by_name[job.namespace, job.name]
        self._pending.jobs[job.uid] = None

    # keeping it

    def spell_out(self) -> Iterator[None]:
        """Make ready what `export` needs, with a pause after every few Jobs. The model may go on meanwhile: what changes
        after its turn is spelled out by the export itself."""
        for number, job in enumerate(list(self.jobs.values()), start=1):
            self._spelled(job)
            if number % SPELLED_AT_ONCE == 0:
                yield

    def export(self) -> dict[str, Any]:
        """Everything that is not given at the start, in what orjson writes as JSON: `restore` goes on from that.

        It shares its values with the model, so write it before the model goes on."""
        return {
            "version": STATE_VERSION,
            "timeline": self._timeline.export(),
            "gone": self._pending.export(),
            "jobs": [self._spelled(job) for job in self.jobs.values()],
            "nodes": self._occupancy.export(),
        }

    def _spelled(self, job: SimulatedJob) -> orjson.Fragment:
        """The text of a Job is kept until it changes: most wait or are over."""
        known = self._texts.get(job.uid)
        if known is None or known[0] != job.revision:
            known = self._texts[job.uid] = (job.revision, orjson.Fragment(orjson.dumps(job_to_json(job))))
        return known[1]

    @classmethod
    def restore(
        cls, state: Mapping[str, Any], machines: Iterable[Machine], fate_of: Callable[[Workload], Fate]
    ) -> "ClusterModel":
        """Go on from an exported state, on the same machines. Raises ValueError for a state of another version."""
        if state.get("version") != STATE_VERSION:
            raise ValueError(f"the simulation's state has version {state.get('version')}; expected {STATE_VERSION}")
        model = cls(machines, fate_of)
        model._timeline.restore(state["timeline"])
        model._pending.restore(state["gone"])
        model._occupancy.restore(state["nodes"])
        for raw in state["jobs"]:
            job = job_from_json(raw)
            model.jobs[job.uid] = job
            model._by_name[job.namespace, job.name] = job.uid
            model._kubelets.put_back(job)
        return model


def _nodes_by_index(placement: Placement) -> list[NodeName]:
    return [node for node, count in placement.pods_by_node for _ in range(count)]


def spec_hash(workload: Workload) -> str:
    """Tells a Job that we made for this workload from one that merely has its name."""
    return hashlib.sha256(repr(workload.spec).encode()).hexdigest()
