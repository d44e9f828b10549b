"""Whether a window that came in may join those that are kept of its device.

A device's windows follow each other, so the last one that was kept says everything: what repeats it is absorbed,
what follows it is taken, and what overlaps it, goes back, comes from the future or from another node is refused with
a reason. Nothing that is refused changes anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.units import MS_PER_DAY, GpuUuid, Instant, NodeName
from scheduler.metering.windows import Window

FUTURE_MS_MAX = 60_000
"""How far a node's clock may be ahead of ours before its windows are not believed."""

PAST_MS_MAX = 31 * MS_PER_DAY
"""No spool reaches back so far: a window from before it was stamped by a clock that is wrong."""


class Admission(StrEnum):
    TAKEN = "taken"
    DUPLICATE = "duplicate"
    FROM_THE_FUTURE = "from-the-future"
    FROM_LONG_AGO = "from-long-ago"
    UNKNOWN_GPU = "unknown-gpu"
    """No inventory ever had it."""
    FOREIGN_GPU = "foreign-gpu"
    """Another node's inventory has it, or had it last."""
    SEQUENCE_WENT_BACK = "sequence-went-back"
    OVERLAPS = "overlaps"


@dataclass(frozen=True, slots=True)
class Kept:
    """The last window that was kept of a device."""

    boot_id: str
    sequence: int
    end: Instant


def inventory_clock(taken_at: Instant, now: Instant) -> Admission | None:
    """By which code the stamp of an inventory is counted, where its clock cannot be right. What it tells is taken all the
    same: it says what is there now."""
    if taken_at > now + FUTURE_MS_MAX:
        return Admission.FROM_THE_FUTURE
    return Admission.FROM_LONG_AGO if taken_at < now - PAST_MS_MAX else None


def admit(window: Window, last: Kept | None, owners: Mapping[GpuUuid, NodeName], now: Instant) -> Admission:
    """`owners` says which node's inventory had which device last. `last` is of this device, on whatever node."""
    if window.gpu_uuid not in owners:
        return Admission.UNKNOWN_GPU
    if owners[window.gpu_uuid] != window.node:
        return Admission.FOREIGN_GPU
    if window.end > now + FUTURE_MS_MAX:
        return Admission.FROM_THE_FUTURE
    if window.start < now - PAST_MS_MAX:
        return Admission.FROM_LONG_AGO
    if last is None:
        return Admission.TAKEN
    if window.boot_id == last.boot_id and window.sequence <= last.sequence:
        # Sent again because our answer was lost, or a number that was used before for other times. Whether those times
        # were kept is for whoever has the books to say.
        return Admission.DUPLICATE if window.end <= last.end else Admission.SEQUENCE_WENT_BACK
    return Admission.OVERLAPS if window.start < last.end else Admission.TAKEN
