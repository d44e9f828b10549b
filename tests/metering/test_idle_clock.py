from collections.abc import Iterable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.idleness import IdlePolicy
from scheduler.domain.units import MS_PER_MINUTE, Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.idle_clock import (
    IdleClock,
    IdleEvent,
    IdleEventKind,
    keep_alive,
    tick,
)
from scheduler.metering.spells import Spell, merge

POLICY = IdlePolicy(startup_ms=0)
IDLE, ACTIVE, UNKNOWN, HUNG = (
    IdleState.IDLE_HELD,
    IdleState.ACTIVE,
    IdleState.UNKNOWN,
    IdleState.SUSPECTED_HUNG,
)


def minutes(states: Iterable[IdleState], policy: IdlePolicy = POLICY) -> tuple[IdleClock, list[IdleEvent]]:
    """One state a minute, from the launch on."""
    clock, events = IdleClock(launched_at=Instant(0)), list[IdleEvent]()
    for minute, state in enumerate(states):
        spell = Spell(Instant(minute * MS_PER_MINUTE), Instant((minute + 1) * MS_PER_MINUTE), state)
        clock, new = tick(clock, spell, policy)
        events += new
    return clock, events


WAITS = IdlePolicy(startup_ms=0, cpu_busy_millicores=500, cpu_wait_ms_max=60 * MS_PER_MINUTE)


def preparing(*cores: int | None, policy: IdlePolicy = WAITS) -> tuple[IdleClock, list[IdleEvent]]:
    """GPUs that rest throughout; what the CPUs did, in thousandths of a core, a minute each."""
    clock, events = IdleClock(launched_at=Instant(0)), list[IdleEvent]()
    for minute, millicores in enumerate(cores):
        start = Instant(minute * MS_PER_MINUTE)
        clock, new = tick(
            clock, Spell(start, Instant(start + MS_PER_MINUTE), IDLE, cpu_millicores=millicores), policy
        )
        events += new
    return clock, events


def told(events: Sequence[IdleEvent]) -> list[tuple[str, int]]:
    return [(event.kind.value, event.at // MS_PER_MINUTE) for event in events]


def test_two_warnings_come_before_the_action_and_then_nothing_more() -> None:
    _, events = minutes([IDLE] * 60)
    assert told(events) == [("warned", 15), ("warned", 25), ("due", 30)]
    assert [event.number for event in events] == [1, 2, 0]


def test_the_action_leaves_its_owner_time_after_the_last_warning() -> None:
    _, events = minutes([IDLE] * 60, replace(POLICY, lead_ms=9 * MS_PER_MINUTE))
    assert told(events) == [("warned", 15), ("warned", 25), ("due", 34)]


def test_work_sets_the_clock_back_and_takes_the_warning_back() -> None:
    _, events = minutes([IDLE] * 20 + [ACTIVE] + [IDLE] * 31)
    assert told(events) == [("warned", 15), ("resumed", 21), ("warned", 36), ("warned", 46), ("due", 51)]


def test_the_clock_waits_while_the_cpus_are_busy_and_says_so_once() -> None:
    clock, events = preparing(*[800] * 50)
    assert told(events) == [("waiting", 15)]
    assert (clock.rested_ms, clock.waited_ms, events[0].cpu_millicores) == (0, 50 * MS_PER_MINUTE, 800)
    _, events = preparing(*[800] * 50, *[100] * 40)
    assert told(events) == [("waiting", 15), ("warned", 65), ("warned", 75), ("due", 80)]


def test_it_waits_no_longer_than_the_policy_says() -> None:
    _, events = preparing(*[8_000] * 100)
    assert told(events) == [("waiting", 15), ("warned", 75), ("warned", 85), ("due", 90)]


def test_cpus_below_the_threshold_or_unread_or_of_no_interest_are_not_waited_for() -> None:
    ordinary = [("warned", 15), ("warned", 25), ("due", 30)]
    assert told(preparing(*[499] * 40)[1]) == ordinary
    assert told(preparing(*[None] * 40)[1]) == ordinary
    assert told(preparing(*[8_000] * 40, policy=POLICY)[1]) == ordinary


def test_work_of_the_gpus_begins_the_wait_anew_and_takes_back_what_was_said() -> None:
    clock, _ = preparing(*[800] * 20)
    clock, events = tick(clock, Spell(Instant(20 * MS_PER_MINUTE), Instant(21 * MS_PER_MINUTE), ACTIVE), WAITS)
    assert told(events) == [("resumed", 21)]
    assert (clock.waited_ms, clock.is_wait_told) == (0, False)


def test_a_hang_is_not_rest() -> None:
    assert told(minutes([IDLE] * 10 + [HUNG] + [IDLE] * 14)[1]) == []


def test_a_gap_stops_the_clock_and_the_action_waits_until_the_window_was_read() -> None:
    _, events = minutes([IDLE] * 28 + [UNKNOWN] * 10 + [IDLE] * 40)
    assert told(events) == [("warned", 15), ("warned", 25), ("due", 65)]


def test_a_short_gap_costs_no_more_than_itself() -> None:
    _, events = minutes([IDLE] * 10 + [UNKNOWN] * 2 + [IDLE] * 40)
    assert told(events) == [("warned", 17), ("warned", 27), ("due", 32)]


def test_work_that_was_seen_in_an_unknown_stretch_sets_the_clock_back() -> None:
    clock, _ = minutes([IDLE] * 29)
    gap = Spell(Instant(29 * MS_PER_MINUTE), Instant(31 * MS_PER_MINUTE), UNKNOWN, has_work=True)
    clock, events = tick(clock, gap, POLICY)
    assert (clock.rested_ms, told(list(events))) == (0, [("resumed", 31)])


def test_an_attempt_is_not_judged_while_it_starts() -> None:
    _, events = minutes([IDLE] * 45, IdlePolicy(startup_ms=10 * MS_PER_MINUTE))
    assert told(events) == [("warned", 25), ("warned", 35), ("due", 40)]


def test_one_that_is_read_seldom_is_warned_twice_before_it_is_stopped() -> None:
    clock, events = IdleClock(launched_at=Instant(0)), list[IdleEvent]()
    for hour in range(4):
        spell = Spell(Instant(hour * 60 * MS_PER_MINUTE), Instant((hour + 1) * 60 * MS_PER_MINUTE), IDLE)
        clock, new = tick(clock, spell, POLICY)
        events += new
    assert told(events) == [("warned", 60), ("warned", 120), ("due", 180)]


def test_the_owner_may_keep_it_a_limited_number_of_times() -> None:
    clock, _ = minutes([IDLE] * 29)
    kept = [False] * 4
    for time in range(4):
        resting = replace(clock, since=Instant(0), rested_ms=MS_PER_MINUTE)
        clock, kept[time] = keep_alive(resting, Instant(29 * MS_PER_MINUTE), POLICY)
    assert kept == [True, True, True, False]
    assert (clock.rested_ms, clock.keep_alives) == (MS_PER_MINUTE, 3)


def test_whose_attempt_does_not_rest_loses_no_time_of_keeping_it() -> None:
    clock, _ = minutes([IDLE] * 29)
    clock, _ = keep_alive(clock, Instant(29 * MS_PER_MINUTE), POLICY)
    assert (clock.since, clock.rested_ms, clock.warned_at, clock.keep_alives) == (None, 0, (), 1)
    assert [keep_alive(clock, Instant(29 * MS_PER_MINUTE), POLICY) for _ in range(5)] == [(clock, False)] * 5


def test_an_attempt_rests_only_if_all_its_devices_do() -> None:
    assert merge([IDLE, IDLE]) is IDLE
    assert merge([IDLE, ACTIVE]) is ACTIVE
    assert merge([UNKNOWN, ACTIVE]) is ACTIVE
    assert merge([IDLE, UNKNOWN]) is UNKNOWN
    assert merge([IDLE, HUNG]) is HUNG
    assert merge([]) is UNKNOWN


@given(st.lists(st.sampled_from([IDLE, IDLE, IDLE, IDLE, IDLE, UNKNOWN, ACTIVE]), max_size=200))
def test_an_action_rests_on_a_window_without_work_of_which_nine_tenths_were_read(states: list[IdleState]) -> None:
    _, events = minutes(states)
    for event in events:
        if event.kind is IdleEventKind.DUE:
            window = states[event.at // MS_PER_MINUTE - 30 : event.at // MS_PER_MINUTE]
            assert ACTIVE not in window
            assert window.count(IDLE) >= 27
