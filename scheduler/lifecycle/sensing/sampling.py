"""Sampling: one transaction's windows, each admitted, attributed and judged in the light of those before it."""

from collections.abc import Iterable
from dataclasses import replace

from scheduler.domain.idleness import IdleThresholds
from scheduler.domain.units import AttemptId, GpuUuid, Instant, WorkloadId
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.sensing.attributing import Attributing
from scheduler.lifecycle.sensing.strangers import Strangers
from scheduler.metering.admission import Admission, Kept, admit
from scheduler.metering.devices import KnownGpu
from scheduler.metering.gpu_faults import LAST_STRETCH_MS, GpuFault, faults_of, has_fault
from scheduler.metering.idle import Baseline, classify, observation_of, shows_work
from scheduler.metering.misuse import (
    Misuse,
    MisuseKey,
    Title,
    as_mining,
    grown,
    is_worth_telling,
    strangers,
    witnessed,
)
from scheduler.metering.use import Metered
from scheduler.metering.windows import Window
from scheduler.ports import Books


class Sampling:
    """Windows are to come in the order in which their sender has them. `save` writes what was taken.

    `known` are devices as they were left by whoever sampled before; what is not among them is read, and what was taken is
    written into it, so that it outlives the transaction where that is committed.
    """

    def __init__(
        self, books: Books, world: World, now: Instant, known: dict[GpuUuid, KnownGpu], earlier: Strangers
    ) -> None:
        self._earlier = earlier
        self._books = books
        self._world = world
        self._now = now
        self._known = known
        self._attributing = Attributing(books, world)
        self._taken: set[tuple[GpuUuid, Instant, Instant]] = set()
        self.metered: list[Metered] = []
        self.strangers: dict[MisuseKey, Misuse] = {}
        """Processes that had no business where they were, with what was known of them before."""
        self.intruded: dict[MisuseKey, frozenset[AttemptId]] = {}
        """Who has the device that each of them is on: several share it in time."""
        self._faults: list[GpuFault] = []
        self._served: dict[WorkloadId, Instant] = {}

    def look_up(self, uuids: Iterable[GpuUuid]) -> None:
        """Read what is not known yet of these devices, at once. They are to be looked up before they are taken."""
        missing = [uuid for uuid in uuids if uuid not in self._known]
        if missing:
            self._known.update(self._books.samples.gpus(missing))

    def take(self, window: Window) -> Admission:
        known = self._known.get(window.gpu_uuid)
        owners = {window.gpu_uuid: known.node} if known is not None and known.node is not None else {}
        admission = admit(window, _kept(known), owners, self._now)
        if admission is Admission.DUPLICATE and not self._is_kept(window):
            return Admission.SEQUENCE_WENT_BACK
        if admission is not Admission.TAKEN or known is None:
            return admission
        attempt_id, title = self._attributing.attribute(window, known.attempt_id)
        self._watch(window, title)
        thresholds = self._thresholds(attempt_id)
        seen = observation_of(window)
        baseline = Baseline(known.idle_milliwatts, known.has_power).learn(seen, thresholds)
        state, has_work = classify(seen, baseline, thresholds), shows_work(seen, baseline, thresholds)
        served = self._attributing.sandbox_that_served(window, attempt_id)
        if served is not None:
            has_work = True
            self._served[served] = max(window.end, self._served.get(served, window.end))
        cpu = self._attributing.cpu_of(window, attempt_id)
        self.metered.append(Metered(window, state, attempt_id, has_work, cpu))
        if has_fault(window):
            self._faults += faults_of(window, self._holders(window, attempt_id))
        self._taken.add((window.gpu_uuid, window.start, window.end))
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

    def _is_kept(self, window: Window) -> bool:
        """Whether what seems to be sent again was ever taken: one that was overtaken by the next was not, and is to be
        counted. Those that retention has dropped cannot be told from it."""
        uuid, start, end = window.gpu_uuid, window.start, window.end
        if (uuid, start, end) in self._taken:
            return True
        return any(each.end == end for each in self._books.samples.windows([uuid], start, Instant(start + 1)))

    def save(self) -> None:
        self._books.samples.add(self.metered)
        self._books.samples.note_misuses([each for each in self.strangers.values() if is_worth_telling(each)])
        self._books.gpu_faults.note(self._faults)
        for workload_id in sorted(self._served):
            self._books.control.note_served(workload_id, self._served[workload_id])
        touched = {item.window.gpu_uuid for item in self.metered}
        self._books.samples.put_gpus([self._known[uuid] for uuid in sorted(touched)])

    def _holders(self, window: Window, attempt_id: AttemptId | None) -> set[AttemptId]:
        """Those whom windows of this transaction name, too: the books do not have these yet."""
        since, devices = window.start - LAST_STRETCH_MS, self._attributing.with_instances(window)
        return self._attributing.holders(window, attempt_id) | {
            item.attempt_id
            for item in self.metered
            if item.attempt_id is not None and item.window.gpu_uuid in devices and item.window.start >= since
        }

    def _watch(self, window: Window, title: Title) -> None:
        for stranger in strangers(window, title):
            for seen in (stranger, as_mining(window, title, stranger)):
                if seen is not None:
                    known = self.strangers.get(seen.key) or self._earlier.get(seen.key)
                    self.strangers[seen.key] = grown(known, witnessed(known, seen, title.arrived_at))
                    self.intruded[seen.key] = title.holders

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
