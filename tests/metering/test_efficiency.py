"""What windows add up to as efficiency: the mean with what it is of, and nothing made up."""

import pytest

from scheduler.domain.units import MS_PER_HOUR
from scheduler.metering.efficiency import Measure, efficiency_of
from scheduler.metering.use import Use

HOUR = MS_PER_HOUR


def test_the_mean_is_of_sm_activity_where_that_was_read_all_the_time() -> None:
    use = Use(
        active_ms=HOUR,
        covered_ms=HOUR,
        utilization_ms=HOUR,
        percent_ms=90 * HOUR,
        sm_ms=HOUR,
        sm_permille_ms=400 * HOUR,
    )
    found = efficiency_of(use)
    assert (found.measure, found.mean_permille) == (Measure.SM_ACTIVITY, 400)


def test_the_mean_is_of_utilisation_where_only_some_hardware_has_profiling() -> None:
    use = Use(
        active_ms=HOUR,
        covered_ms=HOUR,
        utilization_ms=HOUR,
        percent_ms=90 * HOUR,
        sm_ms=HOUR // 2,
        sm_permille_ms=400 * HOUR // 2,
    )
    found = efficiency_of(use)
    assert (found.measure, found.mean_permille) == (Measure.UTILIZATION, 900)


def test_an_instance_that_has_profiling_alone_is_measured_by_it() -> None:
    found = efficiency_of(Use(active_ms=HOUR, covered_ms=HOUR, sm_ms=HOUR, sm_permille_ms=120 * HOUR))
    assert (found.measure, found.mean_permille) == (Measure.SM_ACTIVITY, 120)


def test_energy_is_all_of_it_over_the_hours_at_work() -> None:
    use = Use(active_ms=HOUR, idle_held_ms=3 * HOUR, energy_ms=4 * HOUR, millijoules=2_000_000_000)
    found = efficiency_of(use)
    assert (found.energy_joules, found.joules_per_active_gpu_hour, found.idle_permille) == (2_000_000, 2_000_000, 750)


@pytest.mark.parametrize(("read_ms", "told"), [(36 * HOUR // 10, 2_000_000), (36 * HOUR // 10 - 1, None)])
def test_energy_that_was_read_for_a_part_is_not_put_over_all_hours_at_work(read_ms: int, told: int | None) -> None:
    use = Use(active_ms=HOUR, idle_held_ms=3 * HOUR, energy_ms=read_ms, millijoules=2_000_000_000)
    assert (efficiency_of(use).energy_joules, efficiency_of(use).joules_per_active_gpu_hour) == (2_000_000, told)


def test_what_was_not_read_has_no_efficiency() -> None:
    found = efficiency_of(Use(unknown_ms=HOUR))
    assert (found.mean_permille, found.idle_permille, found.energy_joules) == (None, None, None)
    assert (found.joules_per_active_gpu_hour, found.memory_bytes_max, found.covered_permille) == (None, None, 0)
