"""What state a device is in, from one observation of it: active, idle-held, suspected-hung or unknown.

Utilisation alone lies in both directions: a hang in a collective reads as 100 % at idle power (nccl#968), and some
drivers latch at 100 % with nobody there (lium-io#1142). So power has a say, compared with what this very device
draws when it idles; where it disagrees with utilisation, work is presumed.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.domain.idleness import IdleThresholds
from scheduler.domain.units import Instant
from scheduler.metering.windows import Window


class IdleState(StrEnum):
    ACTIVE = "active"
    IDLE_HELD = "idle-held"
    """Granted, with nothing running on it; memory may be held, by a process or by none."""
    SUSPECTED_HUNG = "suspected-hung"
    """Busy by its samples and idle by its power."""
    UNKNOWN = "unknown"
    """Not enough was read to say. It pauses every clock, and counts for nothing."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A device from `start` to `end`. What was not read is None.

    `covered_ms` is how much of it was read; `percent_max` is the highest sample of utilisation in it.
    """

    start: Instant
    end: Instant
    covered_ms: int
    percent_max: int | None = None
    milliwatts: int | None = None
    process_count: int | None = None

    @property
    def length_ms(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of a device's idle power: the least mean that was seen with no utilisation, and whether its
    power was ever read at all."""

    milliwatts: int | None = None
    has_power: bool = False

    def learn(self, seen: Observation, thresholds: IdleThresholds) -> "Baseline":
        if seen.milliwatts is None:
            return self
        known = replace(self, has_power=True)
        is_rest = seen.percent_max == 0 or seen.process_count == 0
        if not is_rest or seen.milliwatts > thresholds.baseline_milliwatts_max or not _is_covered(seen, thresholds):
            return known
        least = seen.milliwatts if self.milliwatts is None else min(self.milliwatts, seen.milliwatts)
        return replace(known, milliwatts=least)


def observation_of(window: Window) -> Observation:
    """What a window says to this judgement. SM activity stands in for utilisation where there is none (MIG): its
    mean, since profiling keeps no maximum."""
    percent = None if window.utilization is None else window.utilization.max_percent
    if percent is None and window.activity is not None and window.activity.sm_permille_ms is not None:
        mean_permille = window.activity.sm_permille_ms / max(1, window.activity.covered_ms)
        percent = -int(-mean_permille // 10)
    energy = window.energy
    return Observation(
        start=window.start,
        end=window.end,
        covered_ms=window.covered_ms,
        percent_max=percent,
        milliwatts=None if energy is None else energy.mean_milliwatts,
        process_count=window.process_count_max,
    )


def classify(seen: Observation, baseline: Baseline, thresholds: IdleThresholds) -> IdleState:
    """The device's state in one observation; `baseline` has learned from it already."""
    if not _is_covered(seen, thresholds) or seen.percent_max is None:
        return IdleState.UNKNOWN
    rests = _rests(seen, baseline, thresholds)
    if seen.percent_max <= thresholds.percent:
        if baseline.has_power and seen.milliwatts is None:
            return IdleState.UNKNOWN
        return IdleState.ACTIVE if rests is False else IdleState.IDLE_HELD
    if rests and seen.process_count == 0:
        return IdleState.IDLE_HELD
    if rests and seen.percent_max >= thresholds.hung_percent:
        return IdleState.SUSPECTED_HUNG
    return IdleState.ACTIVE


def _is_covered(seen: Observation, thresholds: IdleThresholds) -> bool:
    return seen.covered_ms * 1_000 >= seen.length_ms * thresholds.coverage_permille


def _rests(seen: Observation, baseline: Baseline, thresholds: IdleThresholds) -> bool | None:
    """Whether the power is near idle; None where that cannot be said."""
    if seen.milliwatts is None:
        return None
    if baseline.milliwatts is None:
        # Never seen at rest. What draws more than any idle device may is at work; of the rest nothing is known.
        return False if seen.milliwatts > thresholds.baseline_milliwatts_max else None
    margin = baseline.milliwatts * thresholds.power_permille // 1_000 + thresholds.power_milliwatts
    return seen.milliwatts <= baseline.milliwatts + margin
