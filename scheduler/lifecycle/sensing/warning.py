"""Warning those whom a misuse concerns: an Event on the Job whose process it is, and on the Job whose GPU it is.

Neither names the other: what is to be done between them is for operators, who have the evidence.
"""

from collections.abc import Collection

from scheduler.domain.actions import TellJob
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.units import AttemptId
from scheduler.lifecycle.memory.world import World
from scheduler.metering.misuse import Misuse, MisuseKind


def words_about(world: World, misuse: Misuse, holders: Collection[AttemptId]) -> list[TellJob]:
    """To whose process it is, and to each of the `holders` of the GPU. Nothing of what looks like mining, which is a
    suspicion for people to look into, nor of work that has ended."""
    if misuse.kind is MisuseKind.SUSPECTED_MINING:
        return []
    evidence: dict[str, int | str] = {
        "pid": misuse.pid,
        "process": misuse.name or "without a name",
        "gpu": misuse.gpu_uuid,
        "node": misuse.node,
    }
    concerned = ((misuse.attempt_id, Reason.MISUSE), *((holder, Reason.INTRUDED) for holder in sorted(holders)))
    found = (_word(world, attempt_id, reason, evidence) for attempt_id, reason in concerned)
    return [word for word in found if word is not None]


def _word(
    world: World, attempt_id: AttemptId | None, reason: Reason, evidence: dict[str, int | str]
) -> TellJob | None:
    attempt = world.attempts.get(attempt_id) if attempt_id is not None else None
    workload = world.workloads.get(attempt.workload_id) if attempt is not None else None
    if workload is None or workload.job_uid is None:
        return None
    text = sentence(reason, evidence)
    return TellJob(workload.namespace, workload.job_name, workload.job_uid, reason, text, is_status=False)
