"""Whose a GPU is: our own placement and the kubelet's word together; the pods that its processes run in as witnesses.

A pod keeps its GPUs for as long as it lives, so what a process once showed holds until its attempt ends. What remains
is given by elimination, and only where there is one answer. What cannot be attributed is nobody's: never a guess.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from scheduler.domain.units import AttemptId, GpuUuid, Instant, PodUid
from scheduler.metering.samples import PodRef
from scheduler.metering.windows import Window


@dataclass(frozen=True, slots=True)
class Tenancy:
    """An attempt that has `gpus` of a node since then."""

    attempt_id: AttemptId
    gpus: int
    since: Instant


def by_allocation(window: Window, attempt_of: Mapping[PodRef, AttemptId]) -> frozenset[AttemptId]:
    """The attempts of ours on the node whose pods the kubelet had given the device to: more than one where it is shared
    in time. Pods that linger after their end are not among those that we have there."""
    return frozenset(attempt_of[pod] for pod in window.granted or () if pod in attempt_of)


def by_process(
    window: Window, attempt_of: Mapping[PodUid, AttemptId], live: Collection[AttemptId] = ()
) -> AttemptId | None:
    """The one attempt of ours whose pod was seen on the device; None where there was none, or more than one.

    Where the device changed hands within the window, it is whose it is now: of several, the one that is `live`.
    Processes of others beside it do not change whose the device is: that they are there is a matter of its own.
    """
    pods = {process.pod_uid for process in window.processes or () if process.pod_uid is not None}
    attempts = {attempt_of[pod] for pod in pods if pod in attempt_of}
    if len(attempts) > 1:
        attempts &= set(live)
    return attempts.pop() if len(attempts) == 1 else None


def by_elimination(
    known: Mapping[GpuUuid, AttemptId], devices: Collection[GpuUuid], tenancies: Iterable[Tenancy]
) -> dict[GpuUuid, AttemptId]:
    """`known`, and the node's other devices where exactly one attempt lacks exactly so many.

    A node with a free GPU has more devices than its attempts lack: then any of them may be the free one.
    """
    has = Counter(known.values())
    lacking = {t.attempt_id: t.gpus - has[t.attempt_id] for t in tenancies if t.gpus > has[t.attempt_id]}
    unknown = [uuid for uuid in devices if uuid not in known]
    if len(lacking) != 1 or [len(unknown)] != list(lacking.values()):
        return dict(known)
    return {**known, **dict.fromkeys(unknown, next(iter(lacking)))}
