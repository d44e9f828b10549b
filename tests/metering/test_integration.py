import random
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.units import GpuUuid, Instant, NodeName, PodUid
from scheduler.metering.devices import Health
from scheduler.metering.integration import DeviceState, Integration, begin, close, mark_of, observe, resume
from scheduler.metering.samples import ProcessUse, Sample, Utilization, UtilizationSource
from scheduler.metering.windows import EnergyIntegral, Flag, ProcessSeen, UtilizationIntegral, Window

RULES = Integration(NodeName("node-1"), "boot-1", window_ms=15_000, gap_ms=12_500)
START = 1_800_000_000_000
GPU = GpuUuid("GPU-a")


def sample(at_ms: int, **readings: object) -> Sample:
    """A sample so many milliseconds after the start."""
    return replace(Sample(GPU, Instant(START + at_ms)), **readings)  # type: ignore[arg-type]  # a test names fields


def busy(percent: int, covered_ms: int = 5_000) -> Utilization:
    return Utilization(covered_ms * 1_000, percent * covered_ms * 1_000, percent, UtilizationSource.SAMPLES)


def fold(samples: list[Sample], rules: Integration = RULES) -> tuple[DeviceState, list[Window]]:
    state, windows = begin(samples[0]), list[Window]()
    for each in samples[1:]:
        state, closed = observe(state, each, rules)
        windows += closed
    return state, windows


def test_a_window_holds_what_lies_between_its_samples_and_nothing_else() -> None:
    worker = ProcessUse(pid=7, started_ticks=99, memory_bytes=5, sm_percent=40)
    _, windows = fold(
        [
            sample(0, energy_millijoules=1_000, memory_used_bytes=10, utilization=busy(100)),
            sample(5_000, energy_millijoules=2_000, memory_used_bytes=30, utilization=busy(0), processes=()),
            sample(10_000, energy_millijoules=3_500, memory_used_bytes=20, utilization=busy(60), processes=(worker,)),
            sample(15_000, energy_millijoules=4_000, memory_used_bytes=20, utilization=busy(0), processes=()),
            sample(20_000, energy_millijoules=9_000, memory_used_bytes=90, utilization=busy(100), processes=()),
        ]
    )
    assert windows == [
        Window(
            node=NodeName("node-1"),
            boot_id="boot-1",
            gpu_uuid=GPU,
            sequence=START // 1_000 + 1,
            start=Instant(START),
            end=Instant(START + 15_000),
            covered_ms=15_000,
            sample_count=3,
            utilization=UtilizationIntegral(15_000, 300_000, 60, UtilizationSource.SAMPLES),
            energy=EnergyIntegral(15_000, 3_000),
            memory_used_bytes_max=30,
            process_count_max=1,
            processes=(ProcessSeen(7, 99, 5, 40, None, None, seen_until=Instant(START + 10_000)),),
        )
    ]


def test_whose_pod_a_process_was_in_is_remembered_where_a_later_reading_does_not_tell() -> None:
    told = ProcessUse(7, 99, pod_uid=PodUid("pod-a"), container_id="c-a")
    _, windows = fold([sample(0), sample(5_000, processes=(told,)), sample(15_000, processes=(ProcessUse(7, 99),))])
    (seen,) = windows[0].processes or ()
    assert (seen.pod_uid, seen.container_id) == (PodUid("pod-a"), "c-a")


def test_a_pause_is_a_gap_where_it_is_longer_than_is_bridged_and_not_before() -> None:
    _, (bridged,) = fold([sample(0), sample(RULES.gap_ms), sample(15_000)])
    assert (bridged.covered_ms, Flag.GAP in bridged.flags) == (15_000, False)
    _, (gap,) = fold([sample(0), sample(RULES.gap_ms + 1), sample(15_000)])
    assert (gap.covered_ms, gap.flags) == (0, (Flag.GAP,))


def test_what_was_never_read_is_absent_and_not_zero() -> None:
    _, windows = fold([sample(0), sample(5_000), sample(10_000), sample(15_000)])
    window = windows[0]
    assert (window.utilization, window.activity, window.energy) == (None, None, None)
    assert (window.memory_used_bytes_max, window.power_milliwatts_max, window.processes) == (None, None, None)
    assert (window.process_count_max, window.is_clocked_idle, window.ecc_uncorrected) == (None, None, None)
    assert window.flags == (Flag.NO_PROCESS_VIEW,)


def test_a_pause_of_the_sampler_is_a_window_of_its_own_that_covers_nothing_but_the_energy() -> None:
    _, windows = fold(
        [
            sample(0, energy_millijoules=0),
            sample(5_000, energy_millijoules=500, utilization=busy(10)),
            sample(605_000, energy_millijoules=60_500, utilization=busy(100)),
        ]
    )
    before, gap = windows
    assert (before.start, before.end, before.covered_ms) == (START, START + 5_000, 5_000)
    assert (gap.start, gap.end, gap.covered_ms, gap.sample_count) == (START + 5_000, START + 605_000, 0, 0)
    assert gap.energy == EnergyIntegral(600_000, 60_000)
    assert gap.utilization is None
    assert gap.flags == (Flag.GAP,)


def test_a_counter_that_goes_back_leaves_that_intervals_energy_absent() -> None:
    _, windows = fold(
        [
            sample(0, energy_millijoules=7_000),
            sample(5_000, energy_millijoules=8_000),
            sample(10_000, energy_millijoules=100),
            sample(15_000, energy_millijoules=600),
        ]
    )
    assert windows[0].energy == EnergyIntegral(covered_ms=10_000, millijoules=1_500)
    assert Flag.COUNTER_RESET in windows[0].flags


def test_a_lost_gpu_covers_nothing_until_it_has_answered_twice() -> None:
    lost = Health.UNHEALTHY
    _, windows = fold([sample(0), sample(5_000, health=lost), sample(10_000), sample(15_000)])
    assert windows[0].health is Health.UNHEALTHY
    assert windows[0].covered_ms == 5_000


def test_a_sample_from_the_past_changes_nothing() -> None:
    state = begin(sample(5_000))
    assert observe(state, sample(5_000), RULES) == (state, ())
    assert observe(state, sample(1_000), RULES) == (state, ())


def test_a_clock_that_was_far_ahead_is_not_waited_for() -> None:
    hour = 3_600_000
    state, ahead = fold([sample(hour + ms) for ms in (0, 5_000, 10_000)])
    assert ahead == []
    state, closed = observe(state, sample(20_000), RULES)
    assert [(each.start, each.end) for each in closed] == [(START + hour, START + hour + 10_000)]
    for ms in (25_000, 30_000, 35_000):
        state, windows = observe(state, sample(ms), RULES)
    (first,) = windows
    assert (first.start, first.end, first.covered_ms) == (START + 20_000, START + 35_000, 15_000)
    assert first.sequence == closed[0].sequence + 1


def test_an_agent_that_starts_after_its_clock_was_set_goes_on_though_its_mark_is_ahead() -> None:
    state, _ = fold([sample(3_600_000), sample(3_605_000)])
    stopped, last = close(state, RULES)
    state, _ = observe(resume(mark_of(stopped)), sample(0), RULES)
    for ms in (5_000, 10_000, 15_000):
        state, windows = observe(state, sample(ms), RULES)
    assert [(each.start, each.sequence) for each in windows] == [(START, last[0].sequence + 1)]


def test_the_next_agent_of_the_same_boot_goes_on_at_the_mark() -> None:
    state, _ = fold([sample(0, energy_millijoules=0), sample(5_000, energy_millijoules=100)])
    stopped, last = close(state, RULES)
    _, (gap,) = observe(resume(mark_of(stopped)), sample(9_000, energy_millijoules=180), RULES)
    assert gap.sequence == last[0].sequence + 1
    assert (gap.start, gap.end, gap.covered_ms) == (last[0].end, START + 9_000, 0)
    assert gap.energy == EnergyIntegral(4_000, 80)


def test_an_agent_that_was_killed_goes_on_at_the_last_window_that_it_closed() -> None:
    state, windows = fold([sample(0), sample(5_000), sample(10_000), sample(15_000), sample(20_000)])
    assert mark_of(state).end == windows[-1].end
    assert mark_of(state).sequence == windows[-1].sequence


@st.composite
def histories(draw: st.DrawFn) -> list[Sample]:
    """Samples at any distance, some of a lost GPU, some without a reading, with a counter that may go back."""
    at_ms, energy, samples = 0, 0, []
    for _ in range(draw(st.integers(2, 40))):
        counter = draw(st.sampled_from([energy, energy, energy, 0, None]))
        health = draw(st.sampled_from([Health.OK, Health.OK, Health.OK, Health.UNHEALTHY]))
        samples.append(sample(at_ms, energy_millijoules=counter, health=health, utilization=busy(50, 1)))
        at_ms += draw(st.integers(-2_000, 30_000))
        energy += draw(st.integers(0, 10**7))
    return samples


@given(histories())
def test_windows_follow_each_other_without_hole_or_overlap(samples: list[Sample]) -> None:
    state, windows = fold(samples)
    _, rest = close(state, RULES)
    windows += rest
    for before, after in pairwise(windows):
        assert after.start == before.end
        assert after.sequence == before.sequence + 1
    for window in windows:
        assert 0 <= window.covered_ms <= window.end - window.start
        assert window.energy is None or window.energy.millijoules >= 0
        assert window.energy is None or window.energy.covered_ms <= window.end - window.start
    newest = max((each.at for each in samples), default=START)
    assert not windows or (windows[0].start, windows[-1].end) == (START, newest)


@given(st.lists(st.integers(0, 10**6), min_size=3, max_size=60))
def test_energy_is_conserved_whatever_the_windows(steps: list[int]) -> None:
    counters = [sum(steps[:count]) for count in range(len(steps) + 1)]
    state, windows = fold([sample(5_000 * n, energy_millijoules=counter) for n, counter in enumerate(counters)])
    _, rest = close(state, RULES)
    total = sum(window.energy.millijoules for window in (*windows, *rest) if window.energy is not None)
    assert total == sum(steps)


@given(st.lists(st.integers(50, 700), min_size=40, max_size=200), st.randoms(use_true_random=False))
def test_energy_is_that_of_the_power_whatever_the_sampler_missed(watts: list[int], chance: random.Random) -> None:
    """Power changes every 10 s; the counter steps every 100 ms, and readings come late or not at all."""
    power_mw = [each * 1_000 for each in watts for _ in range(100)]
    counter = [0]
    for milliwatts in power_mw:
        counter.append(counter[-1] + milliwatts // 10)
    samples, at_ms = [], 0
    while at_ms < len(power_mw) * 100:
        samples.append(sample(at_ms, energy_millijoules=counter[at_ms // 100]))
        at_ms += chance.choice((5_000, 5_000, 5_000, 5_040, 4_970, 60_000))
    state, windows = fold(samples)
    windows += close(state, RULES)[1]
    told = sum(window.energy.millijoules for window in windows if window.energy is not None)
    last_ms = samples[-1].at - START
    assert abs(told - sum(power_mw[: last_ms // 100]) // 10) <= told // 100


def test_a_short_window_is_never_more_than_fully_used() -> None:
    """200,999 µs are 200 ms, and 100 % of them 20,099."""
    assert UtilizationIntegral(200, 20_099, 100, UtilizationSource.SAMPLES).mean_permille == 1_000
    assert UtilizationIntegral(200, 19_900, 100, UtilizationSource.SAMPLES).mean_permille == 995
