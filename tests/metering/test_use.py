"""Use: sums of windows, by hour and attempt, that are the same however they are cut."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.units import MS_PER_HOUR, AttemptId, GpuUuid, Instant, NodeName
from scheduler.metering.idle import IdleState
from scheduler.metering.samples import UtilizationSource
from scheduler.metering.use import Metered, Use, hourly, total, use_of
from scheduler.metering.windows import ActivityIntegral, EnergyIntegral, UtilizationIntegral, Window

A = AttemptId("a")


def window(number: int = 0, percent: int = 50, start: int = 0) -> Window:
    return Window(
        NodeName("n"),
        "boot",
        GpuUuid("GPU-a"),
        number,
        Instant(start),
        Instant(start + 15_000),
        covered_ms=15_000,
        sample_count=3,
        utilization=UtilizationIntegral(15_000, percent * 15_000, percent, UtilizationSource.SAMPLES),
        energy=EnergyIntegral(15_000, 4_500_000),
        power_milliwatts_max=310_000,
        memory_used_bytes_max=number,
    )


def test_a_window_counts_in_the_state_that_it_was_judged_to_be_in() -> None:
    use = use_of(window(percent=40), IdleState.ACTIVE)
    assert (use.active_ms, use.idle_held_ms, use.told_ms) == (15_000, 0, 15_000)
    assert (use.utilization_permille, use.mean_milliwatts) == (400, 300_000)


def test_what_was_not_read_is_absent_and_not_zero() -> None:
    blank = Window(NodeName("n"), "boot", GpuUuid("GPU-a"), 1, Instant(0), Instant(15_000), 0, 0)
    use = use_of(blank, IdleState.UNKNOWN)
    assert (use.utilization_permille, use.sm_permille, use.mean_milliwatts) == (None, None, None)
    assert (use.percent_max, use.memory_bytes_max, use.unknown_ms) == (None, None, 15_000)


def test_the_share_of_active_multiprocessors_is_kept_where_the_hardware_tells() -> None:
    profiled = Window(
        *(NodeName("n"), "boot", GpuUuid("GPU-a"), 1, Instant(0), Instant(15_000), 15_000, 3),
        activity=ActivityIntegral(15_000, 15_000 * 250, None, None, None),
    )
    assert use_of(profiled, IdleState.ACTIVE).sm_permille == 250


def test_hours_are_kept_apart_by_attempt() -> None:
    late = window(2, start=MS_PER_HOUR - 5_000)
    found = hourly(
        [
            Metered(window(1), IdleState.ACTIVE, A),
            Metered(late, IdleState.ACTIVE, None),
            Metered(window(3, start=MS_PER_HOUR + 10_000), IdleState.IDLE_HELD, A),
        ]
    )
    assert [(each.hour, each.attempt_id, each.use.windows) for each in found] == [
        (0, None, 1),
        (0, A, 1),
        (MS_PER_HOUR, A, 1),
    ]
    assert found[2].use.idle_held_ms == 15_000


uses = st.builds(
    use_of,
    st.builds(window, st.integers(0, 9), st.integers(0, 100), st.integers(0, 10**9)),
    st.sampled_from(IdleState),
)


@given(st.lists(uses), st.integers(0, 20))
def test_a_total_of_totals_is_the_total(found: Sequence[Use], cut: int) -> None:
    assert total([total(found[:cut]), total(found[cut:])]) == total(found)
