"""Losing: attempts whose pods the platform ended, with their node or from it. That is no fault of their owners."""

from typing import Final

from scheduler.domain.observations import Disruption, ObservedJob, ObservedPod
from scheduler.domain.reasons import Reason
from scheduler.domain.records import PodRun
from scheduler.domain.units import AttemptId, NodeName
from scheduler.domain.workloads import Attempt, AttemptState, Origin, Workload
from scheduler.lifecycle.running.record import stop_attempt
from scheduler.lifecycle.writing.batch import Batch

_CAUSES: Final = {
    Disruption.NODE_GONE: "the node is gone",
    Disruption.TAINTED: "the node did not answer, or was emptied",
    Disruption.KUBELET: "the node's kubelet ended it",
    Disruption.SCHEDULER: "the kube-scheduler preempted it",
    Disruption.EVICTED: "the node was drained",
}


def stop_if_lost(batch: Batch, attempt: Attempt, pod: ObservedPod) -> None:
    """Stop the rest of an attempt of which the platform ended a pod; one that is being stopped keeps its reason.

    Who may edit a namespace may evict its pods: an eviction counts only where the node takes no more work.
    """
    if pod.disruption is None or (pod.disruption is Disruption.EVICTED and _takes_work(batch, pod.node)):
        return
    _stop(batch, attempt.id, pod.node, _CAUSES[pod.disruption])


def stop_if_node_is_gone(batch: Batch, attempt_id: AttemptId, run: PodRun, job: ObservedJob | None) -> bool:
    """The same for a pod that went while nobody watched, and its node with it. Whether that is so: one that ran to its
    end, or that was told to end, may have gone before its node did.
    """
    may_have_ended = job is None or job.is_complete or job.is_suspended
    if may_have_ended or run.node is None or run.node in batch.world.nodes:
        return False
    _stop(batch, attempt_id, run.node, _CAUSES[Disruption.NODE_GONE])
    return True


def _takes_work(batch: Batch, name: NodeName | None) -> bool:
    node = batch.world.nodes.get(name) if name is not None else None
    return node is not None and node.accepts_work


def _stop(batch: Batch, attempt_id: AttemptId, node: NodeName | None, cause: str) -> None:
    attempt = batch.attempt(attempt_id)
    workload = batch.workload(attempt.workload_id) if attempt is not None else None
    if attempt is None or workload is None or attempt.state not in {AttemptState.LAUNCHING, AttemptState.RUNNING}:
        return
    then = _what_follows(workload, batch.world.job_of(workload))
    stop_attempt(batch, attempt, Reason.NODE_LOST, {"nodes": node or "its node", "cause": cause, "then": then})


def _what_follows(workload: Workload, job: ObservedJob | None) -> str:
    if workload.origin is Origin.API:
        return "it is queued again"
    if job is None or job.is_run_elsewhere:
        return "delete its Job and apply it anew"
    return "it is queued again, unless its Job fails" if job.is_owned else "it is queued again"
