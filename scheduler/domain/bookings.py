"""Bookings: GPUs kept for a window, paid by a hold made when it is booked and charged from its start, used or not.

As ports and airlines sell slots: what was kept free for somebody is paid by them, and giving it back late costs,
because nobody else can plan on it any more.
"""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant, PerMille


class BookingPhase(StrEnum):
    BOOKED = "booked"
    """Its start is ahead."""
    ACTIVE = "active"
    OVER = "over"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class BookingTerms:
    """How far ahead a booking may start (0: none is taken), and what a cancellation costs that comes less than
    `late_ms` before its start, or after it: a share of what it has not used yet."""

    horizon_ms: int = 90 * MS_PER_DAY
    late_ms: int = 24 * MS_PER_HOUR
    late_cost: PerMille = PerMille(500)

    def late_fee(self, left: int, starts_at: Instant, now: Instant) -> int:
        """Standard GPU-milliseconds that cancelling now costs, of the `left` that are held and not charged."""
        return left * self.late_cost // 1000 if now > starts_at - self.late_ms else 0
