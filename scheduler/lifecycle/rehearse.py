"""Rehearse: what a cycle would do, worked out by the code that does it and given to the feed instead of to the cluster."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from scheduler.decision.plan import Launch, Plan
from scheduler.domain.actions import SuspendJob
from scheduler.domain.hours import hours_text
from scheduler.domain.observations import ClusterChanges, ObservedPod
from scheduler.domain.policy import Policy
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.records import PodRun
from scheduler.domain.units import (
    AttemptId,
    Instant,
    PerMille,
    PodUid,
    WorkloadId,
    standard_total,
)
from scheduler.domain.wording import counted
from scheduler.domain.workloads import Workload
from scheduler.lifecycle.memory.observed_only import ITEMS_MAX, Found, Observed, ObservedOnly, Would
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.act import next_action
from scheduler.lifecycle.running.keep import keep_funded
from scheduler.lifecycle.running.limits import enforce_limits
from scheduler.lifecycle.running.observe import pod_run
from scheduler.lifecycle.writing.batch import Batch
from scheduler.ports import Store

STANDARD_FACTOR = PerMille(1000)
_BY_NOBODY = AttemptId("")
"""Pods that somebody else's hand on a Job set going belong to no attempt."""


class Rehearsal:
    """Looks at the world after each cycle, writes nothing, and keeps the feed."""

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world
        self._feed = world.observed = ObservedOnly()
        self._runs: dict[WorkloadId, dict[PodUid, PodRun]] = {}

    def look(self, plan: Plan, seen: Sequence[ClusterChanges], now: Instant) -> list[Observed]:
        """What is new of what would be done."""
        if self._world.policy is None:
            return []
        news = self._feed.note(Would.LAUNCH, self._launches(plan), now)
        news += self._feed.note(Would.PREEMPT, self._preemptions(plan), now)
        news += self._feed.note(Would.STOP, self._stops(now), now)
        news += self._feed.note(Would.SUSPEND, self._suspensions(), now)
        news += self._feed.note(Would.CHARGE, self._charges(seen, now), now)
        return news

    # what would be launched, and for whom others would go

    def _launches(self, plan: Plan) -> Iterator[Found]:
        for launch in plan.launches:
            yield from self._launch(launch, "")
        for preemption in plan.preemptions:
            count = len(preemption.victims)
            yield from self._launch(preemption.launch, f", once {counted(count, 'workload')} had given way")

    def _launch(self, launch: Launch, after: str) -> Iterator[Found]:
        workload = self._world.workloads.get(launch.workload_id)
        if workload is None:
            return
        held = sum(share.amount for share in launch.funding)
        nodes = ", ".join(node for node, _ in launch.placement.pods_by_node)
        paid = f"holding {hours_text(held)} h" if launch.is_funded else "without hours"
        gpus = launch.placement.pods * workload.spec.pod.gpus
        text = f"Would have launched {gpus} × {launch.gpu_class} on {nodes}, {paid}{after}."
        yield _found(workload, text, held=held)

    def _preemptions(self, plan: Plan) -> Iterator[Found]:
        for preemption in plan.preemptions:
            preemptor = self._world.workloads.get(preemption.launch.workload_id)
            for victim in preemption.victims:
                workload = self._world.workloads.get(victim.workload_id)
                if workload is not None and preemptor is not None:
                    rule = f"{victim.rule}: {victim.comparison}"
                    fate = (
                        "preempted" if victim.pods_left is None else f"shrunk to {counted(victim.pods_left, 'pod')}"
                    )
                    yield _found(workload, f"Would have been {fate} by {preemptor.spec.name} ({rule}).")

    # what would be stopped

    def _stops(self, now: Instant) -> Iterator[Found]:
        """By the very rules that stop it, in a batch that is never saved."""
        if not self._world.attempts:
            return
        with self._store.reading() as books:
            batch = Batch(books, self._world, now)
            enforce_limits(batch)
            keep_funded(batch)
        for verdict in batch.said:
            workload = batch.workload(verdict.workload_id)
            if workload is not None:
                yield _found(workload, f"Would have been ended. {sentence(verdict.reason, verdict.evidence)}")

    def _suspensions(self) -> Iterator[Found]:
        world = self._world
        for workload_id in sorted({*world.take_dirty(), *self._feed.open_ones(Would.SUSPEND)}):
            workload = world.workloads.get(workload_id)
            if workload is None:
                continue
            if workload.state.is_final and world.live_attempt(workload_id) is None:
                world.drop_workload(workload_id)
            elif isinstance(action := next_action(world, workload).action, SuspendJob):
                cause = "somebody else set it going" if action.reason is Reason.SUBMITTED else action.reason.value
                yield _found(workload, f"Would have suspended its Job: {cause}.")

    # what would be charged

    def _charges(self, seen: Sequence[ClusterChanges], now: Instant) -> Iterator[Found]:
        """For pods of workloads that run though we launched none of them: in observing, all that run."""
        touched = {w for w, runs in self._runs.items() if any(run.ended_at is None for run in runs.values())}
        for changes in seen:
            touched.update(self._fold(changes.pods, now))
        policy = self._world.require_policy()
        for workload_id in sorted(touched):
            workload = self._world.workloads.get(workload_id)
            if workload is not None:
                yield self._charge(workload, policy, now)

    def _fold(self, pods: Iterable[ObservedPod], now: Instant) -> Iterator[WorkloadId]:
        for pod in pods:
            workload_id = self._world.workload_of_job.get(pod.job_uid)
            if workload_id is None or self._world.live_attempt(workload_id) is not None:
                continue
            runs = self._runs.setdefault(workload_id, {})
            runs[pod.uid] = pod_run(_BY_NOBODY, pod, now, runs.get(pod.uid))
            yield workload_id
        for workload_id in list(self._runs)[:-ITEMS_MAX]:
            del self._runs[workload_id]

    def _charge(self, workload: Workload, policy: Policy, now: Instant) -> Found:
        terms = policy.priority_classes.get(workload.spec.priority_class)
        by_weight: Counter[PerMille] = Counter()
        for run in self._runs[workload.id].values():
            node = self._world.nodes.get(run.node) if run.node is not None else None
            gpu_class = policy.gpu_classes.get(node.gpu_class) if node is not None and node.gpu_class else None
            if gpu_class is not None:
                by_weight[gpu_class.weight] += run.gpu_ms_until(now)
        factor = terms.class_factor if terms is not None else STANDARD_FACTOR
        charged = sum(standard_total(used, weight, factor) for weight, used in by_weight.items())
        gpu_ms = by_weight.total()
        text = (
            f"Would have charged {hours_text(charged)} h for {hours_text(gpu_ms)} GPU-hours that others let it run."
        )
        return _found(workload, text, charged=charged, gpu_ms=gpu_ms)


def to_record(plan: Plan) -> Plan:
    """What of a plan is true though nobody carries it out: why everybody else waits, who grows old,
    and what has lapsed."""
    untrue = {Reason.LAUNCHING, Reason.AWAITING_PREEMPTION}
    verdicts = tuple(verdict for verdict in plan.verdicts if verdict.reason not in untrue)
    return Plan(plan.now, verdicts=verdicts, lapsed=plan.lapsed, ageing=plan.ageing)


def _found(workload: Workload, text: str, *, held: int = 0, charged: int = 0, gpu_ms: int = 0) -> Found:
    spec = workload.spec
    return Found(workload.id, spec.name, workload.owner, spec.gpus, text, held, charged, gpu_ms)
