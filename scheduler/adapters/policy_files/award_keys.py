"""The keys of a tier that say what becomes of hours which their engineer does not use."""

from scheduler.adapters.policy_files.kinds import Choice, Flag, Whole
from scheduler.adapters.policy_files.sections import Field, Record
from scheduler.domain.rollover import Rollover, RolloverRule
from scheduler.domain.units import MS_PER_HOUR, PerMille

ROLLOVER = Field(
    "rollover", Choice(RolloverRule), "what of the rest goes on into the next period", default=RolloverRule.NONE
)
ROLLOVER_CAP = Field(
    "rollover_cap_gpu_hours",
    Whole(0, 1_000_000_000, "standard GPU-hours"),
    "at most so much goes on; a `capped` rollover needs it",
    absent="no cap",
)
ROLLOVER_KEEP = Field(
    "rollover_keep_per_mille",
    Whole(0, 1_000, "per mille"),
    "share of the rest that a `decaying` rollover keeps each period, rounded down",
    default=500,
)
MAY_TRANSFER = Field(
    "may_transfer", Flag(), "whether its engineers may pass hours on to others of their team", default=False
)
MAY_DONATE = Field(
    "may_donate", Flag(), "whether its engineers may give hours to their pool, a team or a project", default=False
)
AWARD_FIELDS = (ROLLOVER, ROLLOVER_CAP, ROLLOVER_KEEP, MAY_TRANSFER, MAY_DONATE)


def rollover(record: Record) -> Rollover | None:
    """None: what is left expires."""
    rule = record.value(ROLLOVER)
    if rule is RolloverRule.NONE:
        return None
    cap = record.find(ROLLOVER_CAP)
    keep = record.value(ROLLOVER_KEEP) if rule is RolloverRule.DECAYING else 1_000
    return Rollover(rule, None if cap is None else cap * MS_PER_HOUR, PerMille(keep))
