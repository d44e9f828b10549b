"""What we know of the cluster between two looks: lean records, and which of them changed since the last one."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from scheduler.adapters.kubernetes.jobs import concerns_us, read_job
from scheduler.adapters.kubernetes.launching import adoptable
from scheduler.adapters.kubernetes.names import HOSTNAME, MANAGED_NAMESPACE, PLACEMENT, RawObject
from scheduler.adapters.kubernetes.nodes import NodeRecord, node_of, read_node
from scheduler.adapters.kubernetes.podless import Podless, PodsRefused
from scheduler.adapters.kubernetes.pods import is_terminal, node_name, owning_job, read_pod
from scheduler.adapters.kubernetes.resources import Amounts, pod_request, total
from scheduler.domain.cluster import GpuClass, Node
from scheduler.domain.observations import ClusterChanges, ObservedJob, ObservedPod
from scheduler.domain.units import Instant, JobUid, NodeName, PodUid

_Key = TypeVar("_Key", NodeName, JobUid)


@dataclass(frozen=True, slots=True)
class _JobRecord:
    """`digest` tells whether anything that we report has changed."""

    namespace: str
    concerns_us: bool
    digest: int


@dataclass(frozen=True, slots=True)
class _PodRecord:
    """A pod that holds something of a node, or that belongs to a Job in a managed namespace (then `observed`)."""

    node: NodeName | None
    amounts: Amounts
    job_uid: JobUid | None = None
    observed: ObservedPod | None = None

    @property
    def holding(self) -> tuple[NodeName | None, Amounts, JobUid | None]:
        return self.node, self.amounts, self.job_uid


class ClusterMirror:
    """Fed with raw objects by the watches, emptied by `drain`. Knows no network.

    `namespaces` None means: those that carry the label `allot.dev/managed=true`.
    """

    def __init__(self, namespaces: Collection[str] | None = None) -> None:
        self._fixed_namespaces = frozenset(namespaces) if namespaces is not None else None
        self._labelled_namespaces: set[str] = set()
        self._classes: tuple[GpuClass, ...] = ()
        self._resources: frozenset[str] = frozenset()
        self._nodes: dict[NodeName, NodeRecord] = {}
        self._reported: dict[NodeName, Node] = {}
        self._jobs: dict[JobUid, _JobRecord] = {}
        self._pods: dict[PodUid, _PodRecord] = {}
        self._pods_on: dict[NodeName, set[PodUid]] = defaultdict(set)
        self._pods_of: dict[JobUid, set[PodUid]] = defaultdict(set)
        self._accounted: dict[JobUid, int] = {}
        self._waiting: dict[JobUid, tuple[int, RawObject]] = {}
        self._changed_nodes: set[NodeName] = set()
        self._changed_jobs: dict[JobUid, ObservedJob | None] = {}
        self._gone_after_their_end: list[JobUid] = []
        self._changed_pods: dict[PodUid, ObservedPod] = {}
        self._gated: dict[PodUid, RawObject] = {}
        self._lost_nodes: set[NodeName] = set()
        self._podless = Podless()

    # what is asked of it

    @property
    def has_changes(self) -> bool:
        return bool(self._changed_nodes or self._changed_jobs or self._changed_pods)

    def drain(self, *, is_relist: bool = False) -> ClusterChanges:
        """Everything that changed since the last drain."""
        jobs, self._changed_jobs = self._changed_jobs, dict.fromkeys(self._gone_after_their_end)
        self._gone_after_their_end.clear()
        pods, self._changed_pods = self._changed_pods, {}
        return ClusterChanges(nodes=self._drain_nodes(), jobs=jobs, pods=tuple(pods.values()), is_relist=is_relist)

    def drain_gated(self) -> list[RawObject]:
        """Pods that wait at our gate and know their node, as raw objects; each is given out once per change."""
        gated, self._gated = self._gated, {}
        return list(gated.values())

    def drain_lost_nodes(self) -> set[NodeName]:
        """Nodes that stopped being ready or went, while pods of ours were on them."""
        lost, self._lost_nodes = self._lost_nodes, set()
        return lost

    @property
    def podless(self) -> Mapping[JobUid, str]:
        """The namespaces of launched Jobs that have not all pods of their attempt."""
        return self._podless.namespaces

    def manages(self, namespace: str) -> bool:
        if self._fixed_namespaces is not None:
            return namespace in self._fixed_namespaces
        return namespace in self._labelled_namespaces

    @property
    def has_fixed_namespaces(self) -> bool:
        return self._fixed_namespaces is not None

    @property
    def managed_namespaces(self) -> frozenset[str]:
        fixed = self._fixed_namespaces
        return fixed if fixed is not None else frozenset(self._labelled_namespaces)

    def hostname(self, node: NodeName) -> str:
        """What a node selector on the host name must say; cloud providers' labels may differ from the name."""
        record = self._nodes.get(node)
        return record.labels.get(HOSTNAME, node) if record else node

    def waiting(self, job_uid: JobUid, generation: int) -> RawObject | None:
        """What a launch must know of a suspended Job that a user applied, where it is known as of that generation."""
        known, kept = self._waiting.get(job_uid, (0, None))
        return kept if known == generation else None

    # what it is told

    def use_classes(self, classes: Iterable[GpuClass]) -> None:
        self._classes = tuple(sorted(classes, key=lambda gpu_class: gpu_class.name))
        self._resources = frozenset(gpu_class.resource for gpu_class in self._classes)
        self._changed_nodes.update(self._nodes)

    def account_for(self, jobs: Mapping[JobUid, int]) -> None:
        """See the port. What a Job or its pods say of themselves counts for nothing here: anybody can write it."""
        for uid, pods in jobs.items():
            if pods == self._accounted.get(uid, 0):
                continue
            self._accounted[uid] = pods
            if not pods:
                del self._accounted[uid]
            for pod in self._pods_of.get(uid, ()):
                node = self._pods[pod].node
                if node is not None:
                    self._changed_nodes.add(node)

    def note_evidence(self, node: NodeName, at: Instant) -> None:
        """The kubelet of that node was alive then, and so were the pods of ours that ran on it."""
        for uid in list(self._pods_on.get(node, ())):
            record = self._pods[uid]
            observed = record.observed
            if observed and observed.started_at and not observed.has_ended and at > (observed.evidence_at or 0):
                self._keep_pod(uid, replace(record, observed=replace(observed, evidence_at=at)))

    def note_refused_pods(self, uid: JobUid, told: Iterable[PodsRefused]) -> None:
        """Kubernetes' Job controller was refused pods for that Job."""
        job, record = self._podless.note(uid, told), self._jobs.get(uid)
        if job is not None and record is not None:
            self._jobs[uid] = replace(record, digest=hash(job))
            self._changed_jobs[uid] = job

    def put_namespace(self, raw: RawObject) -> None:
        metadata = raw["metadata"]
        if (metadata.get("labels") or {}).get(MANAGED_NAMESPACE) == "true":
            self._labelled_namespaces.add(metadata["name"])
        else:
            self._labelled_namespaces.discard(metadata["name"])

    def drop_namespace(self, name: str) -> None:
        self._labelled_namespaces.discard(name)

    def namespace_names(self) -> list[str]:
        return list(self._labelled_namespaces)

    def put_node(self, raw: RawObject) -> None:
        record = read_node(raw)
        before = self._nodes.get(record.name)
        self._nodes[record.name] = record
        self._changed_nodes.add(record.name)
        if before is not None and before.is_ready and not record.is_ready:
            self._lose(record)

    def drop_node(self, name: str) -> None:
        node = NodeName(name)
        record = self._nodes.pop(node, None)
        if record is not None:
            self._changed_nodes.add(node)
            self._lose(record)

    def node_names(self) -> list[str]:
        return list(self._nodes)

    def put_job(self, raw: RawObject) -> None:
        metadata = raw["metadata"]
        uid = JobUid(metadata["uid"])
        if not self._follows(metadata["namespace"], uid):
            self.drop_job(uid)
            return
        before = self._jobs.get(uid)
        if not concerns_us(raw, self._classes):
            self._jobs[uid] = _JobRecord(metadata["namespace"], concerns_us=False, digest=0)
            if before is not None and before.concerns_us:
                self._changed_jobs[uid] = None
            return
        observed = read_job(raw, self._classes)
        observed = self._podless.put(observed, raw, self._pods_of_attempt(observed))
        record = _JobRecord(metadata["namespace"], concerns_us=True, digest=hash(observed))
        if before != record:
            self._jobs[uid] = record
            self._changed_jobs[uid] = observed
        if observed.is_suspended and observed.workload_id is None:
            self._waiting[uid] = (observed.generation, adoptable(raw))
        else:
            self._waiting.pop(uid, None)

    def drop_job(self, uid: str) -> None:
        job_uid = JobUid(uid)
        record = self._jobs.pop(job_uid, None)
        self._podless.drop(job_uid)
        self._waiting.pop(job_uid, None)
        if record is None or not record.concerns_us:
            return
        last = self._changed_jobs.get(job_uid)
        if last is not None and last.has_ended:
            self._gone_after_their_end.append(job_uid)  # `ttlSecondsAfterFinished: 0`: how it ended is told first
        else:
            self._changed_jobs[job_uid] = None

    def job_uids(self) -> list[str]:
        return list(self._jobs)

    def put_pod(self, raw: RawObject) -> None:
        metadata = raw["metadata"]
        uid = PodUid(metadata["uid"])
        before = self._pods.get(uid)
        job_uid = owning_job(metadata)
        if job_uid is not None and not self._follows(metadata["namespace"], job_uid):
            job_uid = None
        if job_uid is None and before is not None:
            job_uid = (
                before.job_uid
            )  # its Job was deleted and it was left to run (`--cascade=orphan`): it stays that Job's
        if job_uid is None:
            self._put_outside_pod(uid, raw)
            return
        amounts = pod_request(raw.get("spec") or {})
        observed = read_pod(raw, job_uid, amounts.count_any(self._resources))
        if before is not None and before.observed is not None:
            observed = _remembering(observed, before.observed)
        held_on = None if is_terminal(raw) else observed.node
        self._keep_pod(uid, _PodRecord(held_on, amounts, job_uid, observed))
        is_placed = bool(observed.attempt_id) or PLACEMENT in (metadata.get("annotations") or {})
        if observed.is_gated and is_placed and not observed.deleted_at:
            self._gated[uid] = raw
        else:
            self._gated.pop(uid, None)

    def remove_pod(self, raw: RawObject) -> None:
        """A deletion event carries the last status: it is taken in before the pod goes."""
        uid = raw["metadata"]["uid"]
        if uid in self._pods:
            self.put_pod(raw)
            self.drop_pod(uid)

    def drop_pod(self, uid: str) -> None:
        pod_uid = PodUid(uid)
        record = self._pods.pop(pod_uid, None)
        self._gated.pop(pod_uid, None)
        if record is None:
            return
        self._release(pod_uid, record)
        if record.observed is not None:
            self._changed_pods[pod_uid] = replace(record.observed, is_gone=True)

    def pod_uids(self) -> list[str]:
        return list(self._pods)

    # how it keeps it

    def _follows(self, namespace: str, job_uid: JobUid) -> bool:
        """What was launched is followed to its end, whatever becomes of the label of its namespace."""
        return self.manages(namespace) or job_uid in self._accounted

    def _lose(self, node: NodeRecord) -> None:
        """What its kubelet said last is evidence; its lease, which is asked for, may say better."""
        self._lost_nodes.add(node.name)
        if node.heartbeat_at is not None:
            self.note_evidence(node.name, node.heartbeat_at)

    def _put_outside_pod(self, uid: PodUid, raw: RawObject) -> None:
        node = node_name(raw)
        if node is None or is_terminal(raw):
            self.drop_pod(uid)
        else:
            self._keep_pod(uid, _PodRecord(node, pod_request(raw["spec"])))

    def _keep_pod(self, uid: PodUid, record: _PodRecord) -> None:
        before = self._pods.get(uid)
        if before == record:
            return
        if before is not None and before.holding != record.holding:
            self._release(uid, before)
            before = None
        self._pods[uid] = record
        if before is None:
            if record.node is not None:
                self._pods_on[record.node].add(uid)
            if record.job_uid is not None:
                self._pods_of[record.job_uid].add(uid)
            if record.node is not None and not self._are_all_ours(record):
                self._changed_nodes.add(record.node)
        if record.observed is not None:
            self._changed_pods[uid] = record.observed
            self._podless.see(record.observed)

    def _release(self, uid: PodUid, record: _PodRecord) -> None:
        if record.node is not None:
            _discard(self._pods_on, record.node, uid)
            if not self._are_all_ours(record):
                self._changed_nodes.add(record.node)
        if record.job_uid is not None:
            _discard(self._pods_of, record.job_uid, uid)

    def _pods_of_attempt(self, job: ObservedJob) -> set[PodUid]:
        """The pods of the Job's present attempt that are there."""
        seen = ((uid, self._pods[uid].observed) for uid in self._pods_of.get(job.uid, ()))
        return {uid for uid, pod in seen if pod is not None and pod.attempt_id == job.attempt_id}

    def _are_all_ours(self, record: _PodRecord) -> bool:
        """Whether a live attempt accounts for every pod of this one's Job: then what it holds is on no node's account."""
        if record.job_uid is None:
            return False
        return len(self._pods_of.get(record.job_uid, ())) <= self._accounted.get(record.job_uid, 0)

    def _drain_nodes(self) -> Mapping[NodeName, Node | None]:
        changed, self._changed_nodes = self._changed_nodes, set()
        nodes: dict[NodeName, Node | None] = {}
        for name in sorted(changed):
            record = self._nodes.get(name)
            if record is None:
                if self._reported.pop(name, None) is not None:
                    nodes[name] = None
                continue
            node = node_of(record, self._classes, self._outside_on(name))
            if self._reported.get(name) != node:
                self._reported[name] = node
                nodes[name] = node
        return nodes

    def _outside_on(self, node: NodeName) -> Amounts:
        here = self._pods_on.get(node, ())
        beyond = self._beyond({self._pods[uid].job_uid for uid in here} - {None})
        return total(self._pods[uid].amounts for uid in here if self._pods[uid].job_uid is None or uid in beyond)

    def _beyond(self, jobs: Collection[JobUid | None]) -> set[PodUid]:
        """Pods of these Jobs that no attempt accounts for: all, or those above the number that it was launched with.

        Somebody made the Job larger. Those that hold a node first are the attempt's: pods that have ended hold none.
        """
        beyond: set[PodUid] = set()
        for job_uid in jobs:
            if job_uid is not None:
                holding = [uid for uid in self._pods_of[job_uid] if self._pods[uid].node is not None]
                holding.sort(key=lambda uid: (self._started(uid), uid))
                beyond.update(holding[self._accounted.get(job_uid, 0) :])
        return beyond

    def _started(self, uid: PodUid) -> float:
        observed = self._pods[uid].observed
        return observed.started_at if observed is not None and observed.started_at is not None else float("inf")


def _remembering(pod: ObservedPod, before: ObservedPod) -> ObservedPod:
    """What the API forgets about a pod: when its deletion was first asked for and with which grace (the kubelet's
    last word sets both anew, to now and 0), and the evidence of its node's heartbeat.
    """
    if before.deleted_at is not None:
        pod = replace(pod, deleted_at=before.deleted_at, grace_seconds=before.grace_seconds)
    if before.evidence_at is not None and before.evidence_at > (pod.evidence_at or 0):
        pod = replace(pod, evidence_at=before.evidence_at)
    return pod


def _discard(index: dict[_Key, set[PodUid]], key: _Key, uid: PodUid) -> None:
    members = index.get(key)
    if members is not None:
        members.discard(uid)
        if not members:
            del index[key]
