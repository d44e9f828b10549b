"""The keys of a policy file that bound how fast hours are used."""

from scheduler.adapters.policy_files.kinds import Choice, Flag, Reading, Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.guards import GuardOf, GuardWindow, SpendGuard
from scheduler.domain.policy import OffPeak
from scheduler.domain.units import MS_PER_HOUR, PerMille

_GPU_HOURS = Whole(1, 1_000_000_000, "standard GPU-hours")

OF = Field("of", Choice(GuardOf), "whose use it counts: each engineer's, or each team's", is_required=True)
WINDOW = Field("window", Choice(GuardWindow), "a weekend is Saturday and Sunday in `time_zone`", is_required=True)
SOFT = Field("soft_gpu_hours", _GPU_HOURS, "beyond it a start is told of with a warning", absent="no warning")
HARD = Field(
    "hard_gpu_hours", _GPU_HOURS, "beyond it nothing more starts or is extended; what runs goes on", absent="no limit"
)
SPEND_GUARD = Section(
    "spend_guards.NAME",
    "How much may be used per hour, day or weekend, beside the allowance. A start counts to the end of its time limit, in "
    "this window and in those to come.",
    (OF, WINDOW, SOFT, HARD),
)


# priority_classes.NAME.off_peak
_HOUR = Whole(0, 23, "o'clock")
FROM_HOUR = Field("from_hour", _HOUR, "its work may start from this hour on, in `time_zone`", absent="no hours")
UNTIL_HOUR = Field("until_hour", _HOUR, "… until this one; from 20 until 6 is the night", absent="no hours")
WEEKENDS = Field("weekends", Flag(), "and on Saturdays and Sundays", default=True)
FREE = Field(
    "free_per_mille",
    Whole(1, 1000, "per mille"),
    "and at any time while this share of a GPU class is free, without nodes that take no work and what is kept for others",
    absent="at no other time",
)
OFF_PEAK = Section(
    "priority_classes.NAME.off_peak",
    "When work of an off-peak class may start.",
    (FROM_HOUR, UNTIL_HOUR, WEEKENDS, FREE),
)


def check_off_peak(record: Record, reading: Reading) -> None:
    """Hours need both ends: one alone would be no hours, and its work would wait for the weekend in silence."""
    for given, missing in ((FROM_HOUR, UNTIL_HOUR), (UNTIL_HOUR, FROM_HOUR)):
        if record.gives(given) and not record.gives(missing):
            path = f"{record.path}.{given.key}"
            reading.refuse(record.mark_of(given), path, "one end of the hours", f"{missing.key} beside it")
    begins = record.find(FROM_HOUR)
    if begins is not None and begins == record.find(UNTIL_HOUR):
        seen = f"hours from {begins} until {begins}, which are none"
        reading.refuse(record.mark_of(UNTIL_HOUR), f"{record.path}.until_hour", seen, "another hour than from_hour")


def check_guard(guard: Record, reading: Reading) -> None:
    """One without a limit guards nothing; one that is softer than its hard limit allows never warns."""
    soft, hard = guard.find(SOFT), guard.find(HARD)
    if not guard.gives(SOFT) and not guard.gives(HARD):
        reading.refuse(guard.mark, guard.path, "a guard without a limit", f"{SOFT.key}, {HARD.key}, or both")
    elif soft is not None and hard is not None and soft > hard:
        path = f"{guard.path}.{SOFT.key}"
        reading.refuse(guard.mark_of(SOFT), path, f"{soft}", f"at most {HARD.key}, {hard}")


def off_peak(record: Record) -> OffPeak:
    free = record.find(FREE)
    return OffPeak(
        record.find(FROM_HOUR),
        record.find(UNTIL_HOUR),
        record.value(WEEKENDS),
        None if free is None else PerMille(free),
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
