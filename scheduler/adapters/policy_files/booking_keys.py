"""The keys of a policy file that say how far ahead GPUs may be booked, and what a late cancellation costs."""

from scheduler.adapters.policy_files.kinds import Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.bookings import BookingTerms
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, PerMille

HORIZON = Field(
    "horizon_days", Whole(0, 366, "days"), "how far ahead a booking may start; 0: none is taken", default=90
)
LATE = Field(
    "late_cancel_hours", Whole(0, 8_784, "hours"), "before its start, from when a cancellation is late", default=24
)
LATE_COST = Field(
    "late_cancel_percent",
    Whole(0, 100, "%"),
    "of what is not used yet, charged where it is cancelled late",
    default=50,
)
BOOKINGS = Section("bookings", "GPUs booked ahead, paid from their start, used or not.", (HORIZON, LATE, LATE_COST))


def booking_terms(record: Record) -> BookingTerms:
    return BookingTerms(
        horizon_ms=record.value(HORIZON) * MS_PER_DAY,
        late_ms=record.value(LATE) * MS_PER_HOUR,
        late_cost=PerMille(record.value(LATE_COST) * 10),
    )
