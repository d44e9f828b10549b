"""GPU faults: error reports of the driver (Xids) that tell of broken hardware, and which of them a failed attempt died of.

An Xid is the whole GPU's, and all that is known of its instant is the window that it came in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from scheduler.domain.records import PodRun
from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, AttemptId, GpuUuid, Instant, NodeName
from scheduler.metering.windows import Window

HARDWARE_XIDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        48: "double-bit ECC error",
        62: "halt of an internal micro-controller",
        64: "failure to remap a row of memory",
        74: "NVLink error",
        79: "fallen off the bus",
        94: "contained memory error",
        95: "uncontained memory error",
        119: "timeout of the GPU system processor",
        120: "error of the GPU system processor",
        140: "unrecovered ECC error",
        143: "failed initialisation",
    }
)
"""Those that no program of a user can bring about by what it asks of its GPU.

Taken from NVIDIA's two publications: the list of causes (https://docs.nvidia.com/deploy/xid-errors/, "Xid error listing",
r555), which has to name hardware and must not name a user's application; and the catalogue
(https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html), whose immediate action has to go beyond starting
the application anew. So left out: 13, 31, 43, 45, 68 and 109, of which an application is a cause; exceptions of single
engines (39 to 41, 69 to 72, 75 to 77, 80 to 89, 96 to 105), which hardware may cause, and a bad command, too; 63 and 92,
which end no work; 110, 136, 137 and 144 to 172, of which the list of causes says nothing, or which look into software. 94
stands here though its action is to start the application: its cause is memory.
"""

LAST_STRETCH_MS: Final = 15 * MS_PER_MINUTE
"""How long before the first of its pods failed an Xid may lie that an attempt died of.

What runs on that GPU fails within seconds. Of several pods the one that fails may be another, which only waits for it:
PyTorch's NCCL watchdog gives up after ten minutes by default, and takes some more to say so. What a longer stretch would
let in by chance is bounded: a refund is of the work since the last checkpoint, up to a cap.
"""

_SIGNALLED: Final = frozenset({137, 143})
"""Exit codes of pods that were told to end: the others of an attempt of which one has failed."""


@dataclass(frozen=True, slots=True)
class GpuFault:
    """A hardware Xid of a GPU in a window, from `start` to `end`, and an attempt that had the GPU, or a part of it; None
    where nobody is known to have had it. `is_judged` once that attempt has ended and was looked at for it."""

    gpu_uuid: GpuUuid
    node: NodeName
    xid: int
    start: Instant
    end: Instant
    attempt_id: AttemptId | None = None
    is_judged: bool = False


def faults_of(window: Window, holders: Iterable[AttemptId]) -> list[GpuFault]:
    """Each hardware Xid of the window, once for each of those who had the GPU; in order."""
    known: list[AttemptId | None] = [*sorted(set(holders))]
    return [
        GpuFault(window.gpu_uuid, window.node, xid, window.start, window.end, holder, is_judged=holder is None)
        for xid in sorted(HARDWARE_XIDS.keys() & set(window.xids))
        for holder in known or [None]
    ]


def has_fault(window: Window) -> bool:
    return bool(window.xids) and not HARDWARE_XIDS.keys().isdisjoint(window.xids)


def first_failure(runs: Sequence[PodRun], ended_at: Instant) -> Instant:
    """When the first pod of an attempt that failed did so: of itself, and not because another had. `ended_at`, the
    attempt's own end, where no pod's code tells."""
    failed = (run.ended_at for run in runs if run.exit_code and run.exit_code not in _SIGNALLED)
    return min((at for at in failed if at is not None), default=ended_at)


def died_of(faults: Iterable[GpuFault], failed_at: Instant) -> GpuFault | None:
    """The first of these that an attempt died of whose first pod failed then; None where it was none of them.

    Nothing that began after it: stamps are whole seconds, cut. A window that is longer than the stretch itself (the agent
    was away) does not say whether its Xid lay within.
    """
    near = [
        fault
        for fault in faults
        if fault.start < failed_at + MS_PER_SECOND
        and fault.end > failed_at - LAST_STRETCH_MS
        and fault.end - fault.start <= LAST_STRETCH_MS
    ]
    return min(near, key=lambda fault: (fault.start, fault.gpu_uuid, fault.xid), default=None)
