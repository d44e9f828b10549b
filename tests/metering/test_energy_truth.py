"""Energy of generated machine-days, from the counter as an agent reads it to the hours that people are shown, beside the
integral of the power that was drawn."""

import os
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.idle_rules.days import BUSY_MW, DAY_S, DISTURBANCES, IDLE_MW, PATTERNS, STEP_S, Day, day_of
from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.metering.idle import IdleState
from scheduler.metering.integration import DeviceState, Integration, begin, close, mark_of, observe, resume
from scheduler.metering.samples import Sample
from scheduler.metering.use import Metered, hourly
from scheduler.metering.windows import Window

IS_SEARCHING = os.environ.get("HYPOTHESIS_PROFILE") == "searching"
SEEDS = 25 if IS_SEARCHING else 1
READ_PATTERNS = tuple(PATTERNS) if IS_SEARCHING else ("bursty", "interactive", "nightly")
SAMPLE_S = 5
RESTART_S = 7_777
"""How often the agent is started anew, at no full window; the counter goes on."""
RULES = Integration(NodeName("node-1"), "boot-0", window_ms=15_000, gap_ms=12_500)
GPU = GpuUuid("GPU-a")

Joules = npt.NDArray[np.int64]


@dataclass
class Read:
    """What was read of a day. `known_millijoules` is the truth of it: all that was drawn but for what lies between the
    last reading before a boot and the first one after it, of which no counter tells."""

    windows: list[Window]
    known_millijoules: int
    known_s: int


def drawn_of(day: Day) -> Joules:
    """Millijoules since midnight, by the second: the integral of the power."""
    power_mw = np.where(day.gpus[0].works, BUSY_MW, IDLE_MW).astype(np.int64)
    return np.concatenate(([0], np.cumsum(power_mw)))


def read(day: Day) -> Read:
    """As an agent reads it: every five seconds while it is there; it is started anew now and then, and after each boot
    of the node."""
    drawn = drawn_of(day)
    state: DeviceState | None = None
    found = Read([], 0, 0)
    rules, booted_s, last_s, restarted_s = RULES, 0, 0, 0
    for second in range(SAMPLE_S, DAY_S + 1, SAMPLE_S):
        step = (second - 1) // STEP_S
        if day.is_reset[step] and booted_s <= step * STEP_S:
            if state is not None:
                found.windows += close(state, rules)[1]
            state, booted_s = None, second
            rules = replace(rules, boot_id=f"boot-{second}")
        if not day.is_read[step]:
            continue
        at = Instant((second + int(day.ahead_s[step])) * 1_000)
        sample = Sample(GPU, at, energy_millijoules=int(drawn[second] - drawn[booted_s]))
        if state is None:
            state = begin(sample)
        else:
            if second - restarted_s >= RESTART_S:
                closed, windows = close(state, rules)
                found.windows += windows
                state, restarted_s = resume(mark_of(closed)), second
            state, windows = observe(state, sample, rules)
            found.windows += windows
            found.known_millijoules += int(drawn[second] - drawn[last_s])
            found.known_s += second - last_s
        last_s = second
    if state is not None:
        found.windows += close(state, rules)[1]
    return found


@pytest.mark.parametrize("disturbance", DISTURBANCES)
@pytest.mark.parametrize("pattern", READ_PATTERNS)
def test_energy_is_within_one_percent_of_the_integral_of_power(pattern: str, disturbance: str) -> None:
    for seed in range(SEEDS):
        day, _ = day_of(pattern, disturbance, seed)
        found = read(day)
        told = [window.energy for window in found.windows if window.energy is not None]
        assert sum(each.millijoules for each in told) == pytest.approx(found.known_millijoules, rel=0.01)
        shown = hourly(Metered(window, IdleState.ACTIVE, None) for window in found.windows)
        assert sum(hour.use.millijoules for hour in shown) == pytest.approx(found.known_millijoules, rel=0.01)
        if not day.is_reset.any():
            assert found.known_millijoules == pytest.approx(int(drawn_of(day)[-1]), rel=0.01)


def test_what_was_drawn_between_the_last_reading_and_a_boot_is_absent_and_not_guessed() -> None:
    day, _ = day_of("constant", "reboots", 0)
    found = read(day)
    covered_ms = sum(window.energy.covered_ms for window in found.windows if window.energy is not None)
    assert covered_ms == found.known_s * 1_000 < DAY_S * 1_000
    assert not any(window.energy is not None and window.energy.millijoules < 0 for window in found.windows)
