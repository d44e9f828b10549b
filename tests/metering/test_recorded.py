from collections.abc import Sequence
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.idleness import IdlePolicy, IdleRule, IdleThresholds
from scheduler.domain.units import MS_PER_MINUTE, AttemptId, GpuUuid, Instant
from scheduler.metering.idle import IdleState, Observation
from scheduler.metering.judge import judge
from scheduler.metering.recorded import Recorded, baseline_of, counter_spans, in_order, observations, usual_gap_ms

GPU = GpuUuid("GPU-a")
OURS = (AttemptId("a-1"),)
RULE = IdleRule("test", policy=IdlePolicy(startup_ms=0))
STEP_MS = 15_000


def row(step: int, percent: int | None = 0, **cells: int | None) -> Recorded:
    return Recorded(Instant(step * STEP_MS), GPU, OURS, percent, **cells)


def stops(rows: Sequence[Recorded]) -> list[int]:
    """In minutes since the first instant."""
    (attempt,) = judge(rows, RULE).attempts
    return [event.at // MS_PER_MINUTE for event in attempt.stopped]


def due(rows: Sequence[Recorded]) -> list[int]:
    (attempt,) = judge(rows, RULE).attempts
    return [event.at // MS_PER_MINUTE for event in attempt.due]


def seen_in(rows: list[Recorded], gap_ms: int) -> list[Observation]:
    return observations(rows, list(counter_spans(rows)), repeat(gap_ms))


def test_of_rows_of_one_instant_the_busier_counts() -> None:
    same = [row(1, 0, milliwatts=70_000), row(1, 100), row(1, None, process_count=2)]
    assert in_order(same) == [row(1, 100, milliwatts=70_000, process_count=2)]


def test_an_attempt_that_is_not_named_in_between_goes_on() -> None:
    blank = row(2)._replace(attempts=())
    assert [each.attempts for each in in_order([row(3), blank, row(1)])] == [OURS] * 3
    other = row(3)._replace(attempts=(AttemptId("a-2"),))
    assert in_order([row(1), blank, other])[1].attempts == ()


def test_the_counter_speaks_for_the_rows_between_its_readings() -> None:
    rows = [
        row(0, milliwatts=300_000, energy_millijoules=0),
        row(1, milliwatts=300_000),
        row(2, milliwatts=300_000, energy_millijoules=2 * 15 * 70_000),
        row(3, milliwatts=80_000, energy_millijoules=5),
        row(4, milliwatts=90_000, energy_millijoules=5),
    ]
    assert [each.milliwatts for each in seen_in(rows, 2 * STEP_MS)] == [70_000, 70_000, 80_000, 90_000]


def test_a_counter_that_is_repeated_between_two_scrapes_is_no_rest_and_no_work() -> None:
    counter = [15 * 70_000 * (step // 4 * 4) for step in range(260)]
    rows = [row(step, energy_millijoules=each) for step, each in enumerate(counter)]
    assert {each.milliwatts for each in seen_in(rows, STEP_MS)[:-4]} == {70_000}
    assert stops(rows) == [30]


def test_of_a_time_that_the_clock_told_twice_nothing_is_rest() -> None:
    """Set back by twenty minutes, in step with the rows: a minute of work lies in the half that is not judged."""
    rows, counter = [], 1
    for step in range(440):
        counter += 15 * (300_000 if 205 <= step < 209 else 70_000)
        rows.append(row(step if step < 210 else step - 80, energy_millijoules=counter))
    assert stops(rows) == [30, 82]


def test_idle_power_is_that_of_a_long_rest_and_not_of_one_wrong_reading() -> None:
    watts = [70, 71, 70, 69, 5, 70] * 10
    rows = [row(step, milliwatts=each * 1_000) for step, each in enumerate(watts)]
    known = baseline_of(seen_in(rows, STEP_MS), IdleThresholds())
    assert known.milliwatts is not None
    assert 56_000 < known.milliwatts < 60_000


@pytest.mark.parametrize(
    ("uuid", "gibibytes", "watts", "state"),
    [
        ("GPU-a", 80, 70, IdleState.SUSPECTED_HUNG),
        ("GPU-a", None, 70, IdleState.SUSPECTED_HUNG),
        ("GPU-a", 80, 130, IdleState.ACTIVE),
        ("GPU-a", 24, 70, IdleState.ACTIVE),
        ("MIG-a", 80, 70, IdleState.ACTIVE),
    ],
    ids=["large", "of unknown size", "at more than a hang's power", "small", "a MIG instance"],
)
def test_a_hang_from_the_first_row_to_the_last_is_told_by_what_a_large_gpu_draws_at_full_load(
    uuid: str, gibibytes: int | None, watts: int, state: IdleState
) -> None:
    size = None if gibibytes is None else gibibytes * 2**30
    rows = [row(step, 100, milliwatts=watts * 1_000, process_count=1, memory_bytes=size) for step in range(240)]
    found = judge([each._replace(gpu_uuid=GpuUuid(uuid)) for each in rows], RULE)
    assert [spell.state for spell in found.devices[0].spells] == [state]
    assert found.attempts[0].due == ()


def test_each_device_is_read_at_its_own_pace() -> None:
    slow = [Recorded(Instant(minute * MS_PER_MINUTE), GpuUuid("GPU-slow"), OURS, 0) for minute in range(61)]
    found = judge([*(row(step) for step in range(241)), *slow], RULE)
    assert [(device.gpu_uuid, device.gap_ms) for device in found.devices] == [(GPU, 37_500), ("GPU-slow", 150_000)]
    assert [device.spells[0].state for device in found.devices] == [IdleState.IDLE_HELD] * 2


def test_what_is_read_less_than_twice_in_a_window_is_unread() -> None:
    rows = [Recorded(Instant(step * 20 * MS_PER_MINUTE), GPU, OURS, 0) for step in range(20)]
    assert usual_gap_ms(rows, RULE.policy.window_ms) == 15 * MS_PER_MINUTE
    assert stops(rows) == []


def test_a_sample_above_the_threshold_between_two_gaps_is_work() -> None:
    rest = [row(step) for step in range(112)]  # 28 minutes
    after = [row(step) for step in range(120, 250)]
    assert due([*rest, *after]) == [32]
    assert due([*rest, row(116, 100), *after]) == [60]


@pytest.mark.parametrize(
    ("percents", "unknown"),
    [((0, None, 0), 0), ((0, None, None, 0), 2), ((100, None, 0), 1), ((0, None, 100), 1)],
    ids=["one among rest", "two are a gap", "after work", "before work"],
)
def test_a_row_without_utilisation_is_as_one_that_is_missing(percents: Sequence[int | None], unknown: int) -> None:
    read = [*[0] * 50, *percents, *[0] * 50]
    (found,) = judge([row(step, percent) for step, percent in enumerate(read)], RULE).devices
    spells = [each for each in found.spells if each.state is IdleState.UNKNOWN]
    assert sum(each.end - each.start for each in spells) == unknown * STEP_MS


def test_work_told_by_the_counter_alone_over_a_gap_is_work() -> None:
    def with_energy(busy_mw: int) -> list[Recorded]:
        rows, millijoules = [], 0
        for step in range(260):
            millijoules += 15 * (busy_mw if 112 <= step <= 120 else 70_000)
            if not 112 <= step < 120:
                rows.append(row(step, energy_millijoules=millijoules))
        return rows

    assert stops(with_energy(70_000)) == [32]
    assert stops(with_energy(400_000)) == [60]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 8),
            st.sampled_from([0, 0, 0, 0, 0, 0, 0, None, 1, 100]),
            st.sampled_from([None, 0, 60_000, 70_000, 500_000]),
            st.sampled_from([None, 0, 1]),
        ),
        max_size=400,
    )
)
def test_nothing_is_stopped_after_a_sample_above_the_threshold_in_its_window(
    steps: list[tuple[int, int | None, int | None, int | None]],
) -> None:
    rows, at = [], 0
    for pause, percent, milliwatts, processes in steps:
        at += pause if pause > 6 else 1
        rows.append(row(at, percent, milliwatts=milliwatts, process_count=processes))
    for attempt in judge(rows, RULE).attempts:
        for event in attempt.stopped:
            window = [each for each in rows if event.at - RULE.policy.window_ms < each.at <= event.at]
            assert not any(0 < (each.percent or 0) < 95 for each in window)
            assert not any((each.percent or 0) >= 95 and each.process_count != 0 for each in window)
            assert sum(each.percent is not None for each in window) >= 0.4 * len(window)
