"""Short of hours: the refusal of a wish that costs more than the allowances that may pay for it have."""

from scheduler.domain.errors import Exhausted, RefusalCode
from scheduler.domain.funding import Shortfall
from scheduler.domain.hours import hours_at_most, hours_available


def short_of_hours(wish: str, short: Shortfall, *, remedy: str, sees_pay: bool) -> Exhausted:
    """`wish` begins the sentence ("the booking"). What is available is told to who may see it alone."""
    available = hours_available(short.available, short.needed)
    left = f"{available} h are available" if sees_pay else "more than is available for it"
    return Exhausted(
        f"{wish} needs {hours_at_most(short.needed)} h, {left}", code=RefusalCode.ALLOWANCE_SHORT, remedy=remedy
    )
