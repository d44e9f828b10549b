"""Simulated time: faster than the real one, and never back."""

import pytest

from scheduler.domain.units import Instant
from scheduler.simulation.clock import SimulatedClock

T0 = Instant(1_700_000_000_000)


def test_simulated_time_runs_by_its_factor() -> None:
    real = [100.0]
    clock = SimulatedClock(T0, 60, lambda: real[0])
    assert clock.now() == T0
    real[0] = 101.5
    assert clock.now() == T0 + 90_000
    assert clock.seconds_until(Instant(T0 + 150_000)) == 1.0
    assert clock.seconds_until(T0) == 0.0


@pytest.mark.parametrize("factor", [0, -1, 10_001])
def test_a_factor_that_makes_no_sense_is_refused(factor: int) -> None:
    with pytest.raises(ValueError, match=f"the factor of simulated time is {factor}; expected 1 to 10000"):
        SimulatedClock(T0, factor, lambda: 0.0)
