import pytest

from scheduler.domain.idleness import IdleThresholds
from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.metering.idle import (
    Baseline,
    IdleState,
    Observation,
    classify,
    observation_of,
    shows_work,
)
from scheduler.metering.windows import ActivityIntegral, EnergyIntegral, Window

RULES = IdleThresholds()
KNOWN = Baseline(milliwatts=70_000, has_power=True)


def seen(**readings: int | None) -> Observation:
    values: dict[str, int | None] = {"covered_ms": 15_000, "percent_max": 0, "milliwatts": 72_000, **readings}
    covered_ms = values["covered_ms"]
    assert covered_ms is not None
    return Observation(
        Instant(0),
        Instant(15_000),
        covered_ms,
        percent_max=values["percent_max"],
        percent_mean=values.get("percent_mean"),
        milliwatts=values["milliwatts"],
        process_count=values.get("process_count", 1),
    )


CASES: dict[str, tuple[Observation, IdleState]] = {
    "no kernel, idle power": (seen(), IdleState.IDLE_HELD),
    "memory held by no process": (seen(process_count=0), IdleState.IDLE_HELD),
    "no kernel sampled, but power is drawn": (seen(milliwatts=250_000), IdleState.ACTIVE),
    "one small kernel": (seen(percent_max=1), IdleState.ACTIVE),
    "training": (seen(percent_max=100, milliwatts=600_000), IdleState.ACTIVE),
    "a collective that hangs": (seen(percent_max=100), IdleState.SUSPECTED_HUNG),
    "utilisation latched with nobody there": (seen(percent_max=100, process_count=0), IdleState.IDLE_HELD),
    "latched, and who is there is unknown": (seen(percent_max=100, process_count=None), IdleState.SUSPECTED_HUNG),
    "nobody listed, but power is drawn": (
        seen(percent_max=100, process_count=0, milliwatts=400_000),
        IdleState.ACTIVE,
    ),
    "latched with nobody there, and no power to witness it": (
        seen(percent_max=100, process_count=0, milliwatts=None),
        IdleState.UNKNOWN,
    ),
    "latched below full with nobody there": (seen(percent_max=37, process_count=0), IdleState.UNKNOWN),
    "latched meanwhile, with nobody there": (
        seen(percent_max=100, percent_mean=50, process_count=0),
        IdleState.UNKNOWN,
    ),
    "half at work with somebody there": (seen(percent_max=100, percent_mean=50), IdleState.ACTIVE),
    "a burst between two polls": (seen(percent_max=100, percent_mean=4), IdleState.ACTIVE),
    "a burst of a process that is gone": (seen(percent_max=100, percent_mean=4, process_count=0), IdleState.ACTIVE),
    "a tenth not read": (seen(covered_ms=13_499), IdleState.UNKNOWN),
    "nearly all read": (seen(covered_ms=13_500), IdleState.IDLE_HELD),
    "utilisation absent": (seen(percent_max=None), IdleState.UNKNOWN),
    "power absent where it was there before": (seen(milliwatts=None), IdleState.UNKNOWN),
    "power absent under load": (seen(milliwatts=None, percent_max=50), IdleState.ACTIVE),
}


@pytest.mark.parametrize(("observation", "state"), CASES.values(), ids=CASES.keys())
def test_a_device_is_in_the_state_that_its_readings_bear_out(observation: Observation, state: IdleState) -> None:
    assert classify(observation, KNOWN, RULES) is state


def test_a_device_that_never_had_power_is_judged_by_utilisation_alone() -> None:
    assert classify(seen(milliwatts=None), Baseline(), RULES) is IdleState.IDLE_HELD


def test_a_baseline_is_the_least_power_at_rest_and_learns_nothing_from_work() -> None:
    baseline = Baseline()
    for observation in (
        seen(milliwatts=90_000),
        seen(milliwatts=75_000),
        seen(milliwatts=60_000, percent_max=30),
        seen(milliwatts=50_000, covered_ms=0),
        seen(milliwatts=80_000),
    ):
        baseline = baseline.learn(observation, RULES)
    assert baseline == Baseline(milliwatts=75_000, has_power=True)


def test_silent_work_from_the_start_is_not_learned_as_rest() -> None:
    silent = seen(milliwatts=300_000)
    baseline = Baseline().learn(silent, RULES)
    assert baseline.milliwatts is None
    assert classify(silent, baseline, RULES) is IdleState.ACTIVE


def test_any_sm_activity_of_a_mig_instance_counts_as_use() -> None:
    activity = ActivityIntegral(15_000, 1, None, None, None)
    window = Window(
        NodeName("n"), "b", GpuUuid("MIG-a"), 1, Instant(0), Instant(15_000), 15_000, 3, activity=activity
    )
    assert observation_of(window).percent_max == 1


EVIDENCE: dict[str, tuple[Observation, bool]] = {
    "rest": (seen(), False),
    "nothing read": (seen(covered_ms=0, percent_max=None, milliwatts=None), False),
    "a single sample in a gap": (seen(covered_ms=0, percent_max=40, milliwatts=None), True),
    "energy over a gap": (seen(covered_ms=0, percent_max=None, milliwatts=400_000), True),
    "rest over a gap": (seen(covered_ms=0, percent_max=0), False),
    "a second's work in a gap": (seen(covered_ms=0, percent_max=0, milliwatts=70_000 + 378_000 // 15), True),
    "as much power where it was read": (seen(milliwatts=70_000 + 378_000 // 15), False),
    "a hang": (seen(percent_max=100), True),
    "latched with nobody there": (seen(percent_max=100, process_count=0), False),
    "latched below full with nobody there": (seen(percent_max=37, process_count=0), True),
    "latched, with no power to witness it": (seen(percent_max=100, process_count=0, milliwatts=None), True),
}


def test_a_gap_over_a_restart_is_no_rest_and_a_counter_that_is_reset_between_two_readings_is() -> None:
    assert shows_work(seen(covered_ms=0)._replace(is_restarted=True), KNOWN, RULES)
    assert not shows_work(seen()._replace(is_restarted=True), KNOWN, RULES)


@pytest.mark.parametrize("length_ms", [15_000, 60_000, 180_000])
def test_a_gap_as_long_as_a_window_may_miss_hides_no_second_of_work(length_ms: int) -> None:
    """A tenth of 30 minutes; 378 J is what a second of work takes above rest on an H100."""
    rests = seen(covered_ms=0, percent_max=None, milliwatts=70_800)._replace(end=Instant(length_ms))
    works = rests._replace(milliwatts=70_000 + 378_000_000 // length_ms)
    assert not shows_work(rests, KNOWN, RULES)
    assert shows_work(works, KNOWN, RULES)


@pytest.mark.parametrize(("observation", "is_work"), EVIDENCE.values(), ids=EVIDENCE.keys())
def test_whatever_was_read_may_tell_of_work(observation: Observation, is_work: bool) -> None:
    assert shows_work(observation, KNOWN, RULES) is is_work


def test_a_hang_is_told_by_the_power_of_work_where_rest_was_never_seen() -> None:
    at_work = Baseline(has_power=True, full_milliwatts=600_000)
    assert classify(seen(percent_max=100), at_work, RULES) is IdleState.SUSPECTED_HUNG
    assert classify(seen(percent_max=100, milliwatts=300_000), at_work, RULES) is IdleState.ACTIVE
    small = Baseline(has_power=True, full_milliwatts=72_000)
    assert classify(seen(percent_max=100, milliwatts=70_000), small, RULES) is IdleState.ACTIVE


def test_a_counter_that_stands_still_is_not_read_as_no_power() -> None:
    energy = EnergyIntegral(15_000, 0)
    window = Window(NodeName("n"), "b", GpuUuid("GPU-a"), 1, Instant(0), Instant(15_000), 15_000, 3, energy=energy)
    assert observation_of(window).milliwatts is None
