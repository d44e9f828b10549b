"""What state a device is in, from one observation of it: active, idle-held, suspected-hung or unknown.

Utilisation alone lies in both directions: a hang in a collective reads as 100 % at idle power (nccl#968), and some
drivers latch at 100 % with nobody there (lium-io#1142). So power has a say, compared with what this very device
draws when it idles; where it disagrees with utilisation, work is presumed.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from scheduler.domain.idleness import IdleThresholds
from scheduler.domain.units import Instant
from scheduler.metering.windows import Flag, Window

HUNG_SHARE_PERMILLE = 400
"""At full utilisation, a device that draws less than this share of what it draws at work does nothing: an idle
data-centre GPU draws a tenth to a quarter of its limit."""

UNREAD_MS = 5_000
"""What nobody read may not hide work behind its length: power over the margin counts as if it were all drawn in one
reading's interval. The price is that noise over a long gap may be taken for work: a clock that begins anew."""


class IdleState(StrEnum):
    ACTIVE = "active"
    IDLE_HELD = "idle-held"
    """Granted, with nothing running on it; memory may be held, by a process or by none."""
    SUSPECTED_HUNG = "suspected-hung"
    """Busy by its samples and idle by its power."""
    UNKNOWN = "unknown"
    """Not enough was read to say. It pauses every clock, and counts for nothing."""


class Observation(NamedTuple):
    """A device from `start` to `end`. What was not read is None. A tuple, because a recording may have millions.

    `covered_ms` is how much of it was read; `percent_max` is the highest sample of utilisation in it, `percent_mean`
    the mean, taken for the highest where nobody knows it. `cpu_millicores` is what the attempt's pods used of CPUs.
    `is_restarted`: the energy counter began anew in it, as it does when the node boots or the driver is loaded.
    """

    start: Instant
    end: Instant
    covered_ms: int
    percent_max: int | None = None
    percent_mean: int | None = None
    milliwatts: int | None = None
    process_count: int | None = None
    cpu_millicores: int | None = None
    is_restarted: bool = False

    @property
    def length_ms(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of a device's idle power: the least mean that was seen with no utilisation, and whether its
    power was ever read at all. `full_milliwatts` is the most that it drew at full utilisation, where that is known."""

    milliwatts: int | None = None
    has_power: bool = False
    full_milliwatts: int | None = None

    def learn(self, seen: Observation, thresholds: IdleThresholds) -> "Baseline":
        if seen.milliwatts is None:
            return self
        known = replace(self, has_power=True)
        if not may_be_rest(seen, thresholds):
            return known
        least = seen.milliwatts if self.milliwatts is None else min(self.milliwatts, seen.milliwatts)
        return replace(known, milliwatts=least)


def may_be_rest(seen: Observation, thresholds: IdleThresholds) -> bool:
    """Whether the power of it may be learned as idle power: read, by nobody's use, and not above what idle devices
    draw."""
    return (
        (seen.percent_max == 0 or seen.process_count == 0)
        and seen.milliwatts is not None
        and seen.milliwatts <= thresholds.baseline_milliwatts_max
        and is_covered(seen, thresholds)
    )


def drawn(milliwatts: int | None) -> int | None:
    """Power as it may be believed. No GPU that answers draws nothing: a counter that stands still, or a gauge at
    zero, was not read."""
    return milliwatts if milliwatts is not None and milliwatts > 0 else None


def observation_of(window: Window) -> Observation:
    """What a window says to this judgement. SM activity stands in for utilisation where there is none (MIG): its
    mean, since profiling keeps no maximum."""
    utilization, energy = window.utilization, window.energy
    percent = None if utilization is None else utilization.max_percent
    mean_permille = None if utilization is None else utilization.mean_permille
    if percent is None and window.activity is not None and window.activity.sm_permille_ms is not None:
        sm_permille = window.activity.sm_permille_ms / max(1, window.activity.covered_ms)
        percent = -int(-sm_permille // 10)
    return Observation(
        start=window.start,
        end=window.end,
        covered_ms=window.covered_ms,
        percent_max=percent,
        percent_mean=None if mean_permille is None else mean_permille // 10,
        milliwatts=drawn(None if energy is None else energy.mean_milliwatts),
        process_count=window.process_count_max,
        is_restarted=Flag.COUNTER_RESET in window.flags,
    )


def classify(seen: Observation, baseline: Baseline, thresholds: IdleThresholds) -> IdleState:
    """The device's state in one observation; `baseline` has learned from it already."""
    return judged(seen, baseline, thresholds)[0]


def shows_work(seen: Observation, baseline: Baseline, thresholds: IdleThresholds) -> bool:
    """Whether anything that was read of it tells of work, be it ever so little that was read.

    It keeps an unknown stretch from being counted among rest: a single sample above the threshold between two
    gaps, a gap over which the energy counter rose by what a second of work takes, or one in which the machine was
    restarted, sets the idle clock back.
    """
    return judged(seen, baseline, thresholds)[1]


def judged(seen: Observation, baseline: Baseline, thresholds: IdleThresholds) -> tuple[IdleState, bool]:
    """Both of these at once."""
    covered, rests = is_covered(seen, thresholds), _rests(seen, baseline, thresholds)
    state = _state(seen, baseline, thresholds, rests) if covered else IdleState.UNKNOWN
    if rests is False or (not covered and _may_hide_work(seen, baseline, thresholds)):
        return state, True
    if seen.percent_max is None or seen.percent_max <= thresholds.percent:
        return state, False
    is_latched = rests is True and seen.process_count == 0 and _is_full(seen, thresholds)
    return state, not is_latched


def _state(seen: Observation, baseline: Baseline, thresholds: IdleThresholds, rests: bool | None) -> IdleState:
    if seen.percent_max is None:
        return IdleState.UNKNOWN
    if seen.percent_max <= thresholds.percent:
        if baseline.has_power and seen.milliwatts is None:
            return IdleState.UNKNOWN
        return IdleState.ACTIVE if rests is False else IdleState.IDLE_HELD
    if _is_full(seen, thresholds):
        if seen.process_count == 0 and rests is not False:
            # Latched with nobody there; without power to witness it, it is not work that was seen, nor rest.
            return IdleState.IDLE_HELD if rests else IdleState.UNKNOWN
        if rests or _is_far_below_full(seen, baseline, thresholds):
            return IdleState.SUSPECTED_HUNG
    if rests and seen.process_count == 0 and _is_steady(seen):
        # A counter that latched below full, or meanwhile. It sets the clock back as work does, but nobody saw any.
        return IdleState.UNKNOWN
    return IdleState.ACTIVE


def is_covered(seen: Observation, thresholds: IdleThresholds) -> bool:
    return seen.covered_ms * 1_000 >= seen.length_ms * thresholds.coverage_permille


def _is_full(seen: Observation, thresholds: IdleThresholds) -> bool:
    """Busy throughout, as a latched gauge and a spinning collective are: a burst with rest around it is neither."""
    percent = seen.percent_max if seen.percent_mean is None else seen.percent_mean
    return percent is not None and percent >= thresholds.hung_percent


def _is_steady(seen: Observation) -> bool:
    """Half of its highest sample on the mean, and so no burst with rest around it, whose process may be gone again."""
    return seen.percent_max is not None and (seen.percent_mean is None or seen.percent_mean * 2 >= seen.percent_max)


def _is_far_below_full(seen: Observation, baseline: Baseline, thresholds: IdleThresholds) -> bool:
    """A device that was never seen at rest has no idle power to compare with; but what it draws at full utilisation
    otherwise tells a hang too."""
    if seen.milliwatts is None or baseline.milliwatts is not None or baseline.full_milliwatts is None:
        return False
    return seen.milliwatts <= min(
        thresholds.baseline_milliwatts_max, baseline.full_milliwatts * HUNG_SHARE_PERMILLE // 1_000
    )


def _rests(seen: Observation, baseline: Baseline, thresholds: IdleThresholds) -> bool | None:
    """Whether the power is near idle; None where that cannot be said."""
    if seen.milliwatts is None:
        return None
    if baseline.milliwatts is None:
        # Never seen at rest. What draws more than any idle device may is at work; of the rest nothing is known.
        return False if seen.milliwatts > thresholds.baseline_milliwatts_max else None
    return seen.milliwatts <= baseline.milliwatts + margin(baseline.milliwatts, thresholds)


def margin(milliwatts: int, thresholds: IdleThresholds) -> int:
    """How far above a device's idle power is still near it, in milliwatts."""
    return milliwatts * thresholds.power_permille // 1_000 + thresholds.power_milliwatts


def _may_hide_work(seen: Observation, baseline: Baseline, thresholds: IdleThresholds) -> bool:
    """Of a stretch that was hardly read: whether its energy has room for work that its mean power does not show."""
    if seen.is_restarted:
        return True
    if seen.milliwatts is None or baseline.milliwatts is None:
        return False
    excess_microjoules = (seen.milliwatts - baseline.milliwatts) * seen.length_ms
    return excess_microjoules > margin(baseline.milliwatts, thresholds) * UNREAD_MS
