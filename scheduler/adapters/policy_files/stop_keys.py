"""The keys that say how fast each loop may stop work."""

from enum import StrEnum

from scheduler.adapters.policy_files.kinds import Choice, Whole
from scheduler.adapters.policy_files.sections import Field, Section

GPUS_MAX = 16_384


class Stops(StrEnum):
    """Whether the rate of stops is bounded at all."""

    LIMITED = "limited"
    UNLIMITED = "unlimited"


# stop_rates
RATE = Field("rate", Choice(Stops), "whether there is a limit", default=Stops.LIMITED)
SHARE = Field(
    "share_per_mille",
    Whole(1, 1000, "per mille"),
    "share of the running GPUs that may be stopped in ten minutes",
    default=50,
)
FLOOR = Field("floor_gpus", Whole(1, GPUS_MAX, "GPUs"), "but at least so many", default=8)
STOP_RATE = Section(
    "stop_rates.LOOP",
    "How fast a loop may stop work; beyond it the loop waits for an operator's word.",
    (RATE, SHARE, FLOOR),
)
PREEMPT_RATE = Field("preempt", STOP_RATE, "for preemption", absent="no limit")
EXHAUSTION_RATE = Field(
    "exhaustion", STOP_RATE, "for rolling holds that cannot be renewed", absent="50 ‰, at least 8"
)
IDLE_RATE = Field("idle", STOP_RATE, "for the reclaim of idle GPUs", absent="50 ‰, at least 8")
STOP_RATES = Section("stop_rates", "How fast each loop may stop work.", (PREEMPT_RATE, EXHAUSTION_RATE, IDLE_RATE))
