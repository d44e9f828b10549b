"""Whereabouts: the GPUs of each node that live attempts have there, those of pods that are being given back too."""

from scheduler.domain.latest import put
from scheduler.domain.units import AttemptId, NodeName
from scheduler.domain.workloads import Attempt

AttemptsOn = dict[NodeName, dict[AttemptId, int]]


def note_nodes(attempts_on: AttemptsOn, attempt_id: AttemptId, known: Attempt | None, live: Attempt | None) -> None:
    """Keep it after an attempt, which was `known` until now."""
    on = dict(live.everywhere.pods_by_node) if live is not None else {}
    for node in {*(name for name, _ in known.everywhere.pods_by_node), *on} if known is not None else on:
        gpus = on[node] * live.pod.gpus if live is not None and node in on else None
        put(attempts_on.setdefault(node, {}), attempt_id, gpus)
