"""Misuse: processes on a GPU that was not given to them, told from those that are merely not understood.

Only two sorts accuse: a process of a pod that was not given the device, and one of the host that no list allows. What
cannot be resolved accuses nobody. A process is recorded when it was seen in two windows, outside the grace around starts
and ends; it never changes whose the GPU is, nor any charge. What looks like mining is a report for people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.domain.idleness import ALLOWED_PROCESSES
from scheduler.domain.units import MS_PER_MINUTE, AttemptId, GpuUuid, Instant, NodeName, PodUid
from scheduler.metering.windows import ProcessSeen, Window, largest

WINDOWS_MIN = 2
"""In how many windows a process must have been seen: one alone may be a race of two looks at the node."""

APART_MS_MAX = 2 * MS_PER_MINUTE
"""Windows further apart do not tell of one stay."""

GRACE_MS = MS_PER_MINUTE
"""Around the start and the end of an attempt on the node: its processes come before their pod is known, and go after."""

MINING_MS = 30 * MS_PER_MINUTE
MINING_LOAD_PERMILLE = 950
MINING_DRAM_PERMILLE_MAX = 50
"""Training and inference move weights and activations through the memory all the time."""

MisuseKey = tuple[str, int, int, str]
"""GPU, PID, start of the process, kind."""


class MisuseKind(StrEnum):
    OTHER_POD = "other-pod"
    """Of a pod that was not given the device: privileged, or with NVIDIA_VISIBLE_DEVICES=all."""
    HOST_PROCESS = "host-process"
    SUSPECTED_MINING = "suspected-mining"
    """For half an hour at full load, outside any attempt, without the memory traffic of training or inference."""


@dataclass(frozen=True, slots=True)
class Title:
    """Who may be on a device in a window: the attempts that have it, and whether pods that are not ours may have it.
    `attempt_of` are our pods among those that were seen."""

    holders: frozenset[AttemptId]
    attempt_of: Mapping[PodUid, AttemptId]
    has_outside: bool
    allowed: frozenset[str] = ALLOWED_PROCESSES
    allowed_in_pods: frozenset[str] = frozenset()
    arrived_at: Instant | None = None
    """When the first of those attempts started on the node that did so less than GRACE_MS before the window, or in it."""


@dataclass(frozen=True, slots=True)
class Misuse:
    """A process where it had no business, from `first_at` to `last_at`, borne out by so many windows. `attempt_id` is the
    attempt that its pod belongs to, `holder` the one whose device it is: either may be None.
    """

    kind: MisuseKind
    node: NodeName
    gpu_uuid: GpuUuid
    pid: int
    started_ticks: int
    name: str | None
    pod_uid: PodUid | None
    attempt_id: AttemptId | None
    holder: AttemptId | None
    first_at: Instant
    last_at: Instant
    windows: int = 1
    memory_bytes_max: int | None = None
    sm_percent_max: int | None = None

    @property
    def key(self) -> MisuseKey:
        return self.gpu_uuid, self.pid, self.started_ticks, self.kind.value

    @property
    def is_proven(self) -> bool:
        return self.windows >= WINDOWS_MIN


def strangers(window: Window, title: Title) -> tuple[Misuse, ...]:
    """The processes of one window that had no business there, as each was seen in it alone."""
    kinds = ((process, _kind(process, title)) for process in window.processes or ())
    return tuple(_misuse(window, title, process, kind) for process, kind in kinds if kind is not None)


def witnessed(known: Misuse | None, seen: Misuse, arrived_at: Instant | None) -> Misuse:
    """What one window says of a process, where an attempt started on the node at `arrived_at`: the processes of that one
    come before its pod is known, so that who came with it is noted, and not accused by the window. Who was there for
    GRACE_MS when it came is none of its own.
    """
    since = known.first_at if known is not None and _goes_on(known, seen) else seen.first_at
    return seen if arrived_at is None or since <= arrived_at - GRACE_MS else replace(seen, windows=0)


def grown(known: Misuse | None, seen: Misuse) -> Misuse:
    """What is known of a process with one more window; one that stayed away began anew."""
    if known is None or not _goes_on(known, seen):
        return seen
    return replace(
        seen,
        first_at=known.first_at,
        last_at=max(known.last_at, seen.last_at),
        windows=known.windows + seen.windows,
        memory_bytes_max=largest((known.memory_bytes_max, seen.memory_bytes_max)),
        sm_percent_max=largest((known.sm_percent_max, seen.sm_percent_max)),
    )


def _goes_on(known: Misuse, seen: Misuse) -> bool:
    return seen.first_at - known.last_at <= APART_MS_MAX


def as_mining(window: Window, title: Title, stranger: Misuse) -> Misuse | None:
    """The same process as a miner, where this window bears that out: whoever has GPM alone can be told so. It is a
    suspicion once it has gone on for MINING_MS."""
    load, activity = window.utilization, window.activity
    if title.holders or title.has_outside or load is None or activity is None or activity.covered_ms == 0:
        return None
    dram = activity.dram_permille_ms
    is_alike = dram is not None and dram <= MINING_DRAM_PERMILLE_MAX * activity.covered_ms
    is_steady = (load.mean_permille or 0) >= MINING_LOAD_PERMILLE
    return replace(stranger, kind=MisuseKind.SUSPECTED_MINING) if is_alike and is_steady else None


def is_worth_telling(misuse: Misuse) -> bool:
    if misuse.kind is MisuseKind.SUSPECTED_MINING:
        return misuse.is_proven and misuse.last_at - misuse.first_at >= MINING_MS
    return misuse.is_proven


def _kind(process: ProcessSeen, title: Title) -> MisuseKind | None:
    """None for whoever may be there, and for what is not understood."""
    if process.started_ticks is None:
        return None
    if process.pod_uid is None:
        return None if process.name in title.allowed else MisuseKind.HOST_PROCESS
    attempt_id = title.attempt_of.get(process.pod_uid)
    if attempt_id is None:
        return None if title.has_outside or process.name in title.allowed_in_pods else MisuseKind.OTHER_POD
    return None if attempt_id in title.holders else MisuseKind.OTHER_POD


def _misuse(window: Window, title: Title, process: ProcessSeen, kind: MisuseKind) -> Misuse:
    assert process.started_ticks is not None, "what has no start is not understood"
    return Misuse(
        kind=kind,
        node=window.node,
        gpu_uuid=window.gpu_uuid,
        pid=process.pid,
        started_ticks=process.started_ticks,
        name=process.name,
        pod_uid=process.pod_uid,
        attempt_id=None if process.pod_uid is None else title.attempt_of.get(process.pod_uid),
        holder=min(title.holders, default=None),
        first_at=window.start,
        last_at=window.end,
        memory_bytes_max=process.memory_bytes_max,
        sm_percent_max=process.sm_percent_max,
    )
