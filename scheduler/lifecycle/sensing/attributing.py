"""Attributing: whose a GPU was in a window, and who else had business there, as far as world and books know."""

from collections.abc import Mapping

from scheduler.domain.idleness import MisuseTerms
from scheduler.domain.records import PodRun
from scheduler.domain.units import AttemptId, GpuUuid, Instant, NodeName, PodUid, WorkloadId
from scheduler.domain.workloads import WorkloadKind
from scheduler.lifecycle.memory.world import World
from scheduler.metering.attribution import Tenancy, by_allocation, by_elimination, by_process
from scheduler.metering.gpu_faults import LAST_STRETCH_MS
from scheduler.metering.misuse import GRACE_MS, Title
from scheduler.metering.samples import PodRef
from scheduler.metering.windows import Window
from scheduler.ports import Books


class Attributing:
    """Of one transaction: what was looked up of pods is kept for its other windows."""

    def __init__(self, books: Books, world: World) -> None:
        self._books = books
        self._world = world
        self._attempt_of: dict[PodUid, AttemptId | None] = {}
        self._node_of: dict[PodUid, NodeName] = {}
        self._excused = world.policy.misuse if world.policy is not None else MisuseTerms()
        self._lingering: set[PodUid] = set()
        """Pods of attempts that ended just then: their processes may still be there."""
        self._ended_pods: dict[PodUid, PodRun] = {}

    def attribute(self, window: Window, last: AttemptId | None) -> tuple[AttemptId | None, Title]:
        """Whose the device is, and who may be on it. `last` had the device in the window before.

        By our own placement and the kubelet's word together; by its processes where the kubelet says nothing, or
        several share it; else whose it was, if they still have it; else by elimination."""
        attempt_of = self._attempts_of(window)
        tenancies = self._tenancies(window)
        live = {tenancy.attempt_id for tenancy in tenancies} | self._live_then(window, attempt_of)
        seen = by_process(window, attempt_of, live)
        pods = {pod: t.attempt_id for t in tenancies for pod in self._pods_on(window.node, t)}
        given = by_allocation(window, pods)
        if window.granted is not None:
            attempt_id = _allocated_to(window, given, tenancies, seen)
        elif seen is not None:
            attempt_id = seen
        elif last in {tenancy.attempt_id for tenancy in tenancies}:
            attempt_id = last
        else:
            attempt_id = self._eliminate(window, tenancies).get(window.gpu_uuid) if tenancies else None
        holders = given | {attempt_of[pod] for pod in self._lingering & attempt_of.keys()}
        return attempt_id, Title(
            holders=frozenset(holders if attempt_id is None else {*holders, attempt_id}),
            attempt_of=attempt_of,
            has_outside=self._has_outside(window, pods, attempt_id),
            allowed=self._excused.allowed_processes,
            allowed_in_pods=self._excused.allowed_in_pods,
            arrived_at=min((t.since for t in tenancies if t.since > window.start - GRACE_MS), default=None),
        )

    def holders(self, window: Window, attempt_id: AttemptId | None) -> set[AttemptId]:
        """Every attempt of ours that may have had the device by then, or an instance of it: whom the window was attributed
        to, whom it is shared with, and who had it shortly before: what a broken GPU ends is gone before its window comes,
        and a GPU that is lost from the bus shows nobody."""
        pods = {pod: t.attempt_id for t in self._tenancies(window) for pod in self._pods_on(window.node, t)}
        granted = {pod.name for pod in window.granted or ()}
        attempt_of = self._attempts_of(window)
        found = {
            attempt_of[uid] for uid in attempt_of if uid in self._ended_pods and self._ended_pods[uid].name in granted
        }
        since = Instant(window.start - LAST_STRETCH_MS)
        known = self._books.samples.windows(self.with_instances(window), since, window.end)
        return found.union(
            by_allocation(window, pods),
            [attempt_id] if attempt_id is not None else [],
            (stretch.attempt_id for stretch in known if stretch.attempt_id is not None),
        )

    def with_instances(self, window: Window) -> list[GpuUuid]:
        """The device and the MIG instances that it is cut into: an Xid is the whole GPU's."""
        inventory = self._world.readings.inventories.get(window.node)
        devices = inventory.devices if inventory is not None else ()
        return [window.gpu_uuid, *(each.gpu_uuid for each in devices if each.parent_uuid == window.gpu_uuid)]

    def cpu_of(self, window: Window, attempt_id: AttemptId | None) -> int | None:
        """What the attempt's pods used of the node's CPUs, in thousandths of a core; None where that was not read. A pod
        that is not told of used next to nothing."""
        if window.cpu is None or attempt_id is None:
            return None
        pods = self._world.pods.get(attempt_id, {})
        return sum(each.millicores for each in window.cpu if each.pod_uid in pods)

    def sandbox_that_served(self, window: Window, attempt_id: AttemptId | None) -> WorkloadId | None:
        """The attempt's workload, if it is a sandbox one of whose pods accepted a connection. Where the kubelet probes it,
        that tells of nobody."""
        attempt = self._world.attempts.get(attempt_id) if attempt_id is not None else None
        workload = self._world.workloads.get(attempt.workload_id) if attempt is not None else None
        if not window.served or attempt is None or workload is None or workload.spec.kind is not WorkloadKind.SANDBOX:
            return None
        job, pods = self._world.job_of(workload), self._world.pods.get(attempt.id, {})
        is_told = not (job is not None and job.is_probed) and any(uid in pods for uid in window.served)
        return workload.id if is_told else None

    def _has_outside(self, window: Window, pods: Mapping[PodRef, AttemptId], attempt_id: AttemptId | None) -> bool:
        """Whether a pod that is not ours may have it: as the kubelet says, or else wherever such pods have GPUs."""
        if window.granted is not None:
            return any(pod not in pods for pod in window.granted)
        node = self._world.nodes.get(window.node)
        return attempt_id is None and (node is None or node.outside_gpus > 0)

    def _attempts_of(self, window: Window) -> dict[PodUid, AttemptId]:
        """The attempts of the pods seen in it, those that have ended too: windows may come late. A pod's processes run on
        its own node: what another says of them is not believed."""
        pods = {process.pod_uid for process in window.processes or () if process.pod_uid is not None}
        for pod_uid in pods - self._attempt_of.keys():
            live = self._world.attempt_of_pod.get(pod_uid)
            run = self._books.attempts.pod(pod_uid) if live is None else None
            self._attempt_of[pod_uid] = run.attempt_id if run is not None else live
            told = run if live is None else self._world.pods.get(live, {}).get(pod_uid)
            if told is not None and told.node is not None:
                self._node_of[pod_uid] = told.node
            if run is not None:
                self._ended_pods[pod_uid] = run
            if run is not None and (run.ended_at is None or window.start < run.ended_at + GRACE_MS):
                self._lingering.add(pod_uid)
        here = [pod for pod in pods if self._node_of.get(pod, window.node) == window.node]
        return {pod: attempt for pod in here if (attempt := self._attempt_of[pod]) is not None}

    def _live_then(self, window: Window, attempt_of: Mapping[PodUid, AttemptId]) -> set[AttemptId]:
        """Of a window that comes late: who has ended since, and still ran at its end."""
        runs = {uid: self._ended_pods[uid] for uid in attempt_of if uid in self._ended_pods}
        return {attempt_of[uid] for uid, run in runs.items() if run.ended_at is None or run.ended_at >= window.end}

    def _tenancies(self, window: Window) -> list[Tenancy]:
        """The live attempts that had GPUs of the node by the window's end."""
        found = []
        for attempt_id, gpus in list(self._world.attempts_on.get(window.node, {}).items()):
            attempt = self._world.attempts.get(attempt_id)
            if attempt is None or attempt.is_booking:
                continue
            since = attempt.started_at if attempt.started_at is not None else attempt.launched_at
            if since < window.end:
                found.append(Tenancy(attempt_id, gpus, since))
        return found

    def _pods_on(self, node: NodeName, tenancy: Tenancy) -> list[PodRef]:
        """The attempt's pods on the node, as the kubelet names them."""
        attempt = self._world.attempts.get(tenancy.attempt_id)
        workload = self._world.workloads.get(attempt.workload_id) if attempt is not None else None
        runs = self._world.pods.get(tenancy.attempt_id, {}).values()
        return [PodRef(workload.namespace, run.name) for run in runs if run.node == node] if workload else []

    def _eliminate(self, window: Window, tenancies: list[Tenancy]) -> Mapping[GpuUuid, AttemptId]:
        inventory = self._world.readings.inventories[window.node]
        devices = [d.gpu_uuid for d in inventory.devices if d.parent_uuid is None and not d.is_partitioned]
        live = {tenancy.attempt_id for tenancy in tenancies}
        held = {
            uuid: holder
            for uuid in devices
            if (holder := self._world.readings.attempt_of_gpu.get(uuid)) in live and holder
        }
        return by_elimination(held, devices, tenancies)


def _allocated_to(
    window: Window, given: frozenset[AttemptId], tenancies: list[Tenancy], seen: AttemptId | None
) -> AttemptId | None:
    """Where the kubelet told. A process is a witness between those that share the device, and where a late window
    tells of pods that have ended since; it never takes a device from whom it was given."""
    if len(given) == 1:
        return next(iter(given))
    is_live = seen in {tenancy.attempt_id for tenancy in tenancies}
    is_witness = seen in given if given else bool(window.granted) and not is_live
    return seen if is_witness else None
