"""Sampling: one transaction's windows, each admitted, attributed and judged in the light of those before it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from scheduler.domain.idleness import IdleThresholds
from scheduler.domain.units import AttemptId, GpuUuid, Instant, NodeName, PodUid
from scheduler.lifecycle.world import World
from scheduler.metering.admission import Admission, Kept, admit
from scheduler.metering.attribution import Tenancy, by_elimination, by_grant, by_process
from scheduler.metering.devices import KnownGpu
from scheduler.metering.idle import Baseline, classify, observation_of, shows_work
from scheduler.metering.use import Metered
from scheduler.metering.windows import PodRef, Window
from scheduler.ports import Books


class Sampling:
    """Windows are to come in the order in which their sender has them. `save` writes what was taken."""

    def __init__(self, books: Books, world: World, now: Instant, uuids: Iterable[GpuUuid]) -> None:
        self._books = books
        self._world = world
        self._now = now
        self._known: dict[GpuUuid, KnownGpu] = dict(books.samples.gpus(uuids))
        self._owners: Mapping[GpuUuid, NodeName] = {
            gpu.gpu_uuid: gpu.node for gpu in self._known.values() if gpu.node is not None
        }
        self._attempt_of: dict[PodUid, AttemptId | None] = {}
        self.metered: list[Metered] = []

    def take(self, window: Window) -> Admission:
        known = self._known.get(window.gpu_uuid)
        admission = admit(window, _kept(known), self._owners, self._now)
        if admission is not Admission.TAKEN or known is None:
            return admission
        attempt_id = self._attribute(window, known)
        thresholds = self._thresholds(attempt_id)
        seen = observation_of(window)
        baseline = Baseline(known.idle_milliwatts, known.has_power).learn(seen, thresholds)
        state, has_work = classify(seen, baseline, thresholds), shows_work(seen, baseline, thresholds)
        self.metered.append(Metered(window, state, attempt_id, has_work))
        self._known[window.gpu_uuid] = replace(
            known,
            boot_id=window.boot_id,
            sequence=window.sequence,
            end=window.end,
            attempt_id=attempt_id,
            idle_milliwatts=baseline.milliwatts,
            has_power=baseline.has_power,
        )
        return admission

    def last_end(self, uuid: GpuUuid) -> Instant | None:
        """Where the windows end that are kept of a device."""
        known = self._known.get(uuid)
        return known.end if known is not None else None

    def save(self) -> None:
        self._books.samples.add(self.metered)
        touched = {item.window.gpu_uuid for item in self.metered}
        self._books.samples.put_gpus([self._known[uuid] for uuid in sorted(touched)])

    def _attribute(self, window: Window, known: KnownGpu) -> AttemptId | None:
        """By our own placement and the kubelet's word together; by its processes where the kubelet says nothing, or
        several share it; else whose it was, if they still have it; else by elimination."""
        seen = by_process(window, self._attempts_of(window))
        tenancies = self._tenancies(window)
        if window.granted is not None:
            return self._granted_to(window, tenancies, seen)
        if seen is not None:
            return seen
        if known.attempt_id in {tenancy.attempt_id for tenancy in tenancies}:
            return known.attempt_id
        return self._eliminate(window, tenancies).get(window.gpu_uuid) if tenancies else None

    def _attempts_of(self, window: Window) -> dict[PodUid, AttemptId]:
        """The attempts of the pods seen in it, those that have ended too: windows may come late."""
        pods = {process.pod_uid for process in window.processes or () if process.pod_uid is not None}
        for pod_uid in pods - self._attempt_of.keys():
            live = self._world.attempt_of_pod.get(pod_uid)
            run = self._books.attempts.pod(pod_uid) if live is None else None
            self._attempt_of[pod_uid] = run.attempt_id if run is not None else live
        return {pod: attempt for pod in pods if (attempt := self._attempt_of[pod]) is not None}

    def _tenancies(self, window: Window) -> list[Tenancy]:
        """The live attempts that had GPUs of the node by the window's end."""
        found = []
        for attempt_id, gpus in list(self._world.attempts_on.get(window.node, {}).items()):
            attempt = self._world.attempts.get(attempt_id)
            if attempt is None:
                continue
            since = attempt.started_at if attempt.started_at is not None else attempt.launched_at
            if since < window.end:
                found.append(Tenancy(attempt_id, gpus, since))
        return found

    def _granted_to(self, window: Window, tenancies: list[Tenancy], seen: AttemptId | None) -> AttemptId | None:
        """Where the kubelet told. A process is a witness between those that share the device, and where a late window
        tells of pods that have ended since; it never takes a device from whom it was given."""
        given = by_grant(window, {pod: t.attempt_id for t in tenancies for pod in self._pods_on(window.node, t)})
        if len(given) == 1:
            return next(iter(given))
        is_live = seen in {tenancy.attempt_id for tenancy in tenancies}
        is_witness = seen in given if given else bool(window.granted) and not is_live
        return seen if is_witness else None

    def _pods_on(self, node: NodeName, tenancy: Tenancy) -> list[PodRef]:
        """The attempt's pods on the node, as the kubelet names them."""
        attempt = self._world.attempts.get(tenancy.attempt_id)
        workload = self._world.workloads.get(attempt.workload_id) if attempt is not None else None
        runs = self._world.pods.get(tenancy.attempt_id, {}).values()
        return [PodRef(workload.namespace, run.name) for run in runs if run.node == node] if workload else []

    def _eliminate(self, window: Window, tenancies: list[Tenancy]) -> Mapping[GpuUuid, AttemptId]:
        inventory = self._world.inventories[window.node]
        devices = [d.gpu_uuid for d in inventory.devices if d.parent_uuid is None and not d.is_partitioned]
        live = {tenancy.attempt_id for tenancy in tenancies}
        held = {uuid: holder for uuid in devices if (holder := self._world.holders.get(uuid)) in live and holder}
        return by_elimination(held, devices, tenancies)

    def _thresholds(self, attempt_id: AttemptId | None) -> IdleThresholds:
        policy = self._world.policy
        attempt = self._world.attempts.get(attempt_id) if attempt_id is not None else None
        workload = self._world.workloads.get(attempt.workload_id) if attempt is not None else None
        if policy is None or workload is None:
            return IdleThresholds()
        rule = policy.idle_rule(workload.spec.kind, workload.spec.priority_class)
        return rule.thresholds if rule is not None else IdleThresholds()


def _kept(known: KnownGpu | None) -> Kept | None:
    if known is None or known.boot_id is None or known.sequence is None or known.end is None:
        return None
    return Kept(known.boot_id, known.sequence, known.end)
