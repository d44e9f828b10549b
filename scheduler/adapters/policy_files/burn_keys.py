"""The keys of a policy file that say when use is told of."""

from scheduler.adapters.policy_files.kinds import Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.burning import BurnTerms
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, PerMille

JUMP_PERCENT = Field(
    "jump_percent", Whole(100, 100_000, "%"), "of the median day before: a day of more is a jump", default=300
)
JUMP_FLOOR = Field(
    "jump_gpu_hours",
    Whole(1, 1_000_000_000, "standard GPU-hours"),
    "a day of no more than this is no jump",
    default=24,
)
WARN_DAYS = Field(
    "warn_days", Whole(0, 366, "days"), "so long before hours run out it is told; 0: it is not", default=7
)
BURN = Section(
    "burn",
    "When an allowance's holder, and for a person the team's lead, are told of its use.",
    (JUMP_PERCENT, JUMP_FLOOR, WARN_DAYS),
)
BURN_TOLD = Field("burn", BURN, "when use is told of that jumps or runs out", absent="its defaults")


def burn_terms(record: Record) -> BurnTerms:
    return BurnTerms(
        PerMille(record.value(JUMP_PERCENT) * 10),
        record.value(JUMP_FLOOR) * MS_PER_HOUR,
        record.value(WARN_DAYS) * MS_PER_DAY,
    )
