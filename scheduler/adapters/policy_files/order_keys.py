"""The keys of a policy file that say who goes first among equals, and how long anything may wait for its betters."""

from scheduler.adapters.policy_files.kinds import Choice, Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.policy import FairShare, Order
from scheduler.domain.units import MS_PER_HOUR

_HOURS = Whole(1, 8_784, "hours")

# pools.NAME
ORDER = Field("order", Choice(Order), "order of its queue within a priority", default=Order.PACE)
AGEING = Field(
    "ageing_hours", _HOURS, "what has waited that long goes before everything younger, of any priority", default=168
)
AGEING_PER_ENGINEER = Field(
    "ageing_per_engineer",
    Whole(1, 10_000),
    "of one engineer's work so much grows old at once: what waits longest",
    default=2,
)
ORDER_OF_POOL = (ORDER, AGEING, AGEING_PER_ENGINEER)

# fair_share
HALF_LIFE = Field("half_life_hours", _HOURS, "use that old weighs half", default=168)
FAIR_SHARE = Section("fair_share", "How `order: fair-share` looks back.", (HALF_LIFE,))


def fair_share(record: Record) -> FairShare:
    return FairShare(half_life_ms=record.value(HALF_LIFE) * MS_PER_HOUR)
