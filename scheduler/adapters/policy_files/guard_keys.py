"""The keys of a policy file that bound how fast hours are used."""

from scheduler.adapters.policy_files.kinds import Choice, Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.guards import GuardOf, GuardWindow, SpendGuard
from scheduler.domain.units import MS_PER_HOUR

_GPU_HOURS = Whole(1, 1_000_000_000, "standard GPU-hours")

OF = Field("of", Choice(GuardOf), "whose use it counts: each engineer's, or each team's", is_required=True)
WINDOW = Field("window", Choice(GuardWindow), "a weekend is Saturday and Sunday in `time_zone`", is_required=True)
SOFT = Field("soft_gpu_hours", _GPU_HOURS, "beyond it a start is told of with a warning", absent="no warning")
HARD = Field("hard_gpu_hours", _GPU_HOURS, "beyond it nothing more starts; what runs goes on", absent="no limit")
SPEND_GUARD = Section(
    "spend_guards.NAME",
    "How much may be used per hour, day or weekend, beside the allowance.",
    (OF, WINDOW, SOFT, HARD),
)


def spend_guard(name: str, record: Record) -> SpendGuard:
    soft, hard = record.find(SOFT), record.find(HARD)
    return SpendGuard(
        name,
        record.value(OF),
        record.value(WINDOW),
        soft=None if soft is None else soft * MS_PER_HOUR,
        hard=None if hard is None else hard * MS_PER_HOUR,
    )
