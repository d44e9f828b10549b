"""Ids and numbers that could be swapped for one another, each a type of its own.

GPU time is counted in integer milliseconds. *Physical* GPU-milliseconds are what a pod occupied; *standard*
GPU-milliseconds are what is charged for them. No float touches either.
"""

from typing import Final, NewType

Instant = NewType("Instant", int)
"""Milliseconds since 1970-01-01T00:00:00Z. Periods of instants are half-open: [start, end)."""

BEGINNING = Instant(0)
"""Before everything that is kept."""

EngineerId = NewType("EngineerId", str)
TeamName = NewType("TeamName", str)
ProjectName = NewType("ProjectName", str)
WorkloadId = NewType("WorkloadId", str)
AttemptId = NewType("AttemptId", str)
AllowanceId = NewType("AllowanceId", str)
HoldId = NewType("HoldId", str)
CommandId = NewType("CommandId", str)
PoolName = NewType("PoolName", str)
CohortName = NewType("CohortName", str)
TierName = NewType("TierName", str)
GpuClassName = NewType("GpuClassName", str)
PriorityClassName = NewType("PriorityClassName", str)
NodeName = NewType("NodeName", str)
GpuUuid = NewType("GpuUuid", str)
JobUid = NewType("JobUid", str)
PodUid = NewType("PodUid", str)

GpuMs = NewType("GpuMs", int)
"""Physical GPU-milliseconds: GPUs × milliseconds."""

StandardGpuMs = NewType("StandardGpuMs", int)
"""Charged GPU-milliseconds: physical × weight × class factor, floored once over an attempt's cumulative total."""

PerMille = NewType("PerMille", int)

Unit = NewType("Unit", str)
"""What an account counts. Entries of different units are never added."""

STANDARD_GPU: Final = Unit("standard-gpu-ms")

MS_PER_SECOND: Final = 1_000
MS_PER_MINUTE: Final = 60_000
MS_PER_HOUR: Final = 3_600_000
MS_PER_DAY: Final = 86_400_000
JOULES_PER_KWH: Final = 3_600_000

AMOUNT_MAX: Final = 2**62
"""No amount or balance may reach it, so that sums of two never leave a signed 64-bit column."""


def whole_second(at: Instant) -> Instant:
    """The second that it lies in, as Kubernetes stamps what begins or ends then."""
    return Instant(at // MS_PER_SECOND * MS_PER_SECOND)


def standard_total(gpu_ms: int, weight: PerMille, class_factor: PerMille) -> StandardGpuMs:
    """What a cumulative physical total costs: the one rounding rule of the project.

    A slice is charged the difference between this at its end and at its start, so that slices never drift
    from the whole.
    """
    assert gpu_ms >= 0, "an attempt cannot have used less than nothing"
    return StandardGpuMs(gpu_ms * weight * class_factor // 1_000_000)


def standard_needed(gpu_ms: int, weight: PerMille, class_factor: PerMille) -> StandardGpuMs:
    """What must be held so that no charge for `gpu_ms` can exceed it: the total rounded up."""
    return StandardGpuMs(-(-gpu_ms * weight * class_factor // 1_000_000))
