"""openb tasks as work to be replayed. Those without GPUs, and those that never ran, are left out and counted."""

from collections import Counter
from collections.abc import Iterable, Iterator

from scheduler.domain.cluster import PodRequest
from scheduler.domain.units import MS_PER_SECOND, Instant
from scheduler.simulation.replay.adopting import ENDLESS, SHARED, TraceJob
from scheduler.simulation.replay.synthetic import STARTS_AT
from scheduler.simulation.traces.openb import WHOLE_GPU_MILLI, OpenbPod

TOLD_AGAIN = "task of which another file tells, too"


def openb_work(pods: Iterable[OpenbPod], left_out: Counter[str], changed: Counter[str]) -> Iterator[TraceJob]:
    """The trace begins on a Monday. A share of a GPU asks for a whole one here. Of several files' tasks those that are
    the same in all that is told of them are one: the published variants name others alike."""
    told: set[OpenbPod] = set()
    for pod in pods:
        if pod in told:
            left_out[TOLD_AGAIN] += 1
            continue
        told.add(pod)
        if not pod.gpus:
            left_out["asks for no GPU"] += 1
        elif pod.created_seconds is None:
            left_out["nothing says when it came"] += 1
        elif pod.scheduled_seconds is None:
            left_out["never ran"] += 1
        elif pod.deleted_seconds is None:
            left_out[ENDLESS] += 1
        else:
            if pod.gpu_milli < WHOLE_GPU_MILLI:
                changed[SHARED] += 1
            yield TraceJob(
                name=pod.name,
                at=Instant(STARTS_AT + pod.created_seconds * MS_PER_SECOND),
                run_ms=max(0, pod.deleted_seconds - pod.scheduled_seconds) * MS_PER_SECOND,
                pods=1,
                pod=PodRequest(pod.gpus, pod.cpu_milli, pod.memory_mib),
                models=pod.models,
                classes=(pod.qos,) if pod.qos else (),
                exit_code=1 if pod.phase == "Failed" else 0,
            )
