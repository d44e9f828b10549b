"""Holds: hours set aside for an attempt on one allowance, resolved exactly once: charged or released."""

from enum import StrEnum

from scheduler.domain.terms import Draw
from scheduler.domain.units import (
    STANDARD_GPU,
    AllowanceId,
    AttemptId,
    HoldId,
    Instant,
    Unit,
    WorkloadId,
    standard_total,
)
from scheduler.domain.values import value
from scheduler.domain.workloads import Attempt


class HoldState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"


@value(frozen=True, slots=True)
class Hold:
    """`amount` in the unit of one allowance, of which `charged` is charged so far. `draw` None: standard GPU-milliseconds
    at the attempt's own terms.

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
    draw: Draw | None = None

    @property
    def remaining(self) -> int:
        return self.amount - self.charged

    @property
    def unit(self) -> Unit:
        return STANDARD_GPU if self.draw is None else self.draw.unit

    def after(self, charged: int, draw: Draw | None) -> "Hold":
        """The same once so much more of it is charged."""
        return Hold(
            self.id,
            self.workload_id,
            self.allowance_id,
            self.order,
            self.amount,
            self.opened_at,
            self.attempt_id,
            self.charged + charged,
            self.state,
            self.resolved_at,
            draw,
        )

    def in_standard(self, amount: int, attempt: Attempt) -> int:
        """What an amount of it is worth to its attempt in standard GPU-milliseconds, rounded down."""
        if self.draw is None:
            return amount
        return standard_total(self.draw.lasts(amount, TIME_MAX), attempt.weight, attempt.class_factor)


TIME_MAX = 2**62
"""Beyond any physical time: what costs nothing lasts as long."""
