"""Holds: hours set aside for an attempt on one allowance, resolved exactly once: charged or released."""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.units import AllowanceId, AttemptId, HoldId, Instant, WorkloadId


class HoldState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Hold:
    """`amount` standard GPU-milliseconds on one allowance, of which `charged` are charged so far.

    A hold made by a preemption has no attempt until launch. `order` is its place in the funding order: charges use
    up the holds of an attempt in that order. Resolved, what was not charged was released.
    """

    id: HoldId
    workload_id: WorkloadId
    allowance_id: AllowanceId
    order: int
    amount: int
    opened_at: Instant
    attempt_id: AttemptId | None = None
    charged: int = 0
    state: HoldState = HoldState.OPEN
    resolved_at: Instant | None = None

    @property
    def remaining(self) -> int:
        return self.amount - self.charged
