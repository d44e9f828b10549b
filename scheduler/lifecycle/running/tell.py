"""Tell: verdicts go back to the Job, where its user looks, once they have lasted, and never one that is out of date."""

from dataclasses import replace
from itertools import islice

from scheduler.domain.actions import TellJob
from scheduler.domain.reasons import Reason
from scheduler.domain.records import RecordedVerdict
from scheduler.domain.units import Instant, WorkloadId
from scheduler.lifecycle.memory.named import sentence_named
from scheduler.lifecycle.memory.world import World

LASTED_MS = 2_000
"""A waiting verdict that changes again within this time is not worth a write to the cluster."""
LOOKED_AT = 4
"""Verdicts looked at for each that may be told: those whose Job is not known yet wait without keeping others."""

_AT_ONCE = frozenset(
    {
        Reason.PREEMPTED,
        Reason.SUSPENDED,
        Reason.TIME_LIMIT,
        Reason.BOOKING_ENDED,
        Reason.ALLOWANCE_LOW,
        Reason.ALLOWANCE_EXHAUSTED,
        Reason.IDLE,
        Reason.IDLE_ENDED,
        Reason.IDLE_WARNING,
        Reason.START_TIMEOUT,
        Reason.NODE_LOST,
        Reason.GPU_FAULT,
        Reason.LAUNCH_REFUSED,
        Reason.NO_PRIORITY_CLASS,
    }
)
_KUBERNETES_SAYS = frozenset({Reason.COMPLETED, Reason.FAILED})
"""Ends of which the Job controller makes an Event itself."""


def due_to_tell(world: World, now: Instant, at_most: int) -> list[TellJob]:
    """What is to be told now: words beside verdicts and what changed somebody's work first, then why work waits, the
    oldest verdicts first; last what has ended."""
    told = world.words.take(at_most)
    with world.lock:
        lasting = (verdict for verdict in world.untold.values() if now - verdict.at >= LASTED_MS)
        urgent = [verdict for verdict in world.untold.values() if verdict.reason in _AT_ONCE]
        for verdict in [*urgent, *islice(lasting, LOOKED_AT * at_most)]:
            if len(told) == at_most:
                break
            if verdict.workload_id not in world.untold:
                continue
            message = _message(world, verdict)
            if message is not None:
                told.append(message)
            if message is not None or verdict.workload_id not in world.workloads:
                del world.untold[verdict.workload_id]
    return told + world.words.take_endings(at_most - len(told))


def keep_last_words(world: World, workload_id: WorkloadId) -> None:
    """Before final work is forgotten: what ended it is told all the same, and a Job that stays is not left saying that it
    runs or waits."""
    verdict = world.untold.get(workload_id)
    if verdict is None:
        return
    message = _message(world, verdict)
    if message is None:
        return
    if verdict.reason in _AT_ONCE:
        world.words.add([message])
        return
    job = world.jobs.get(message.job_uid)
    if job is not None and not job.is_deleted:
        world.words.add_ending(replace(message, is_event=verdict.reason not in _KUBERNETES_SAYS))


def _message(world: World, verdict: RecordedVerdict) -> TellJob | None:
    """None while its Job is not known."""
    workload = world.workloads.get(verdict.workload_id)
    if workload is None or workload.job_uid is None:
        return None
    # Whoever may read the namespace reads it there, the owner's whole team as a rule.
    text = sentence_named(world, verdict.reason, verdict.evidence, sees_pay=False)
    return TellJob(workload.namespace, workload.job_name, workload.job_uid, verdict.reason, text)
