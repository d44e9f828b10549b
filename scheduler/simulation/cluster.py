"""The `Cluster` port on the simulated cluster: what the Kubernetes adapter answers, this answers, over a clock."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.domain.actions import (
    Action,
    ActionOutcome,
    ActionResult,
    CreateJob,
    DeleteJob,
    LaunchJob,
    ResizeJob,
    SuspendJob,
    TellJob,
)
from scheduler.domain.cluster import GpuClass
from scheduler.domain.observations import ClusterChanges
from scheduler.domain.units import GpuClassName, JobUid
from scheduler.ports import Clock
from scheduler.simulation.jobs import SimulatedJob
from scheduler.simulation.model import ClusterModel, spec_hash


class SimulatedCluster:
    """A cluster in simulated time. Everything that it reports is simulated, and says so."""

    def __init__(self, model: ClusterModel, clock: Clock) -> None:
        self._model = model
        self._clock = clock
        self._is_first = True
        self._changed = asyncio.Event()

    @property
    def is_simulated(self) -> bool:
        return True

    @property
    def is_reachable(self) -> bool:
        return True

    @property
    def model(self) -> ClusterModel:
        """What is simulated, up to now."""
        self._model.advance(self._clock.now())
        return self._model

    async def start(self) -> None:
        self._is_first = True

    async def close(self) -> None:
        """Nothing runs that would have to be ended: events happen when somebody looks."""

    def use_gpu_classes(self, classes: Mapping[GpuClassName, GpuClass]) -> None:
        self._model.use_classes(classes)
        self._changed.set()

    def account_for(self, jobs: Mapping[JobUid, int]) -> None:
        if jobs:
            self._model.account_for(jobs)
            self._changed.set()

    async def changes(self, timeout_seconds: float) -> ClusterChanges:
        model = self.model
        if self._is_first:
            self._is_first = False
            return model.relist()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while not self.model.has_changes:
            left_seconds = deadline - loop.time()
            if left_seconds <= 0:
                break
            self._changed.clear()
            await self._wait(min(left_seconds, self._seconds_to_next_event()))
        return model.drain()

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        outcomes = [self._carry_out(action) for action in actions]
        self._changed.set()
        return outcomes

    def export(self) -> dict[str, Any]:
        """The state up to now, for `ClusterModel.restore`."""
        return self.model.export()

    async def prepare_export(self) -> None:
        """Spell out what changed since the last export, a few Jobs at a time: nobody waits for all of them."""
        for _ in self._model.spell_out():
            await asyncio.sleep(0)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._changed.wait()
        except TimeoutError:
            return

    def _seconds_to_next_event(self) -> float:
        at = self._model.next_event_at
        return float("inf") if at is None else self._clock.seconds_until(at)

    def _carry_out(self, action: Action) -> ActionOutcome:
        match action:
            case CreateJob():
                return self._create(action)
            case LaunchJob():
                return self._launch(action)
            case ResizeJob():
                return self._resize(action)
            case SuspendJob():
                return self._suspend(action)
            case DeleteJob():
                return self._delete(action)
            case TellJob():
                return self._tell(action)

    def _create(self, action: CreateJob) -> ActionOutcome:
        workload = action.workload
        known = self.model.job_named(workload.namespace, workload.job_name)
        if known is None:
            return _done(action, self._model.create(workload))
        is_ours = known.workload_id == workload.id and known.spec_hash == spec_hash(workload)
        if is_ours and not known.is_deleted:
            return _done(action, known)
        message = f"a Job named {workload.job_name} is in {workload.namespace} already"
        return ActionOutcome(action, ActionResult.FOREIGN, message)

    def _launch(self, action: LaunchJob) -> ActionOutcome:
        job = self._find(action)
        if job is None:
            return _gone(action)
        if job.generation != action.generation:
            return self._stale(action, job, f"judged at generation {action.generation}, now {job.generation}")
        if not job.is_suspended or job.has_ended or job.is_deleted or job.live_pods:
            return self._stale(action, job, "it is not a suspended Job without pods")
        self._model.launch(job, action.attempt_id, action.placement)
        return _done(action, job)

    def _resize(self, action: ResizeJob) -> ActionOutcome:
        job = self._find(action)
        if job is None:
            return _gone(action)
        if job.generation != action.generation:
            return self._stale(action, job, f"judged at generation {action.generation}, now {job.generation}")
        self._model.resize(job, action.placement)
        return _done(action, job)

    def _suspend(self, action: SuspendJob) -> ActionOutcome:
        job = self._find(action)
        if job is None:
            return _gone(action)
        self._model.suspend(job)
        return _done(action, job)

    def _delete(self, action: DeleteJob) -> ActionOutcome:
        job = self.model.job_named(action.workload.namespace, action.workload.job_name)
        if job is None or (action.job_uid is not None and job.uid != action.job_uid):
            return _gone(action)
        if job.workload_id != action.workload.id:
            return ActionOutcome(action, ActionResult.FOREIGN, f"the Job {job.name} is not ours")
        outcome = _done(action, job)
        self._model.delete(job)
        return outcome

    def _tell(self, action: TellJob) -> ActionOutcome:
        job = self.model.job_named(action.namespace, action.job_name)
        if job is None or job.uid != action.job_uid:
            return _gone(action)
        if action.is_status:
            job.told = f"{action.reason.value}: {action.message}"
            job.revision += 1
        return _done(action, job)

    def _find(self, action: LaunchJob | ResizeJob | SuspendJob) -> SimulatedJob | None:
        job = self.model.job_named(action.workload.namespace, action.workload.job_name)
        return job if job is not None and job.uid == action.job_uid else None

    def _stale(self, action: Action, job: SimulatedJob, message: str) -> ActionOutcome:
        return ActionOutcome(action, ActionResult.STALE, message, job_uid=job.uid, generation=job.generation)


def _done(action: Action, job: SimulatedJob) -> ActionOutcome:
    return ActionOutcome(action, ActionResult.DONE, job_uid=job.uid, generation=job.generation)


def _gone(action: Action) -> ActionOutcome:
    return ActionOutcome(action, ActionResult.GONE, "there is no such Job")
