"""Sizes of an attempt over time: what it used by then never depends on how it is resized later."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.cluster import Placement
from scheduler.domain.guards import GuardWindow, PastSpend, used_by, window_at
from scheduler.domain.sheltering import shelter_of
from scheduler.domain.sizes import gpu_ms_within, grown_by, last_use, pods_at, resized, sizes_between, stretches
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, Instant, NodeName
from scheduler.domain.usage import ENTRY_MS, use_of
from scheduler.domain.workloads import Attempt, ElasticTerms
from tests.decision.builders import NOW, attempt, policy

HALF_LIFE = 7 * MS_PER_DAY
START = Instant(NOW - NOW % MS_PER_DAY)

resizes = st.lists(st.tuples(st.integers(1, 5 * MS_PER_HOUR), st.integers(1, 8)), max_size=5)


def begun(pods: int) -> Attempt:
    made = attempt("r", "n1", gpus=2, ended_at=None)
    placed = Placement(((NodeName("n1"), pods),))
    return replace(made, launched_at=START, started_at=START, placement=placed, elastic=ElasticTerms(1, 8))


def given_size(known: Attempt, at: Instant, pods: int) -> Attempt:
    return replace(known, placement=Placement(((NodeName("n1"), pods),)), past_sizes=resized(known, at))


def lived(pods: int, changes: list[tuple[int, int]]) -> tuple[Attempt, Instant]:
    """With the instant of its last resize."""
    found, at = begun(pods), START
    for after, size in changes:
        at = Instant(at + after)
        found = given_size(found, at, size)
    return found, at


def test_it_had_each_size_until_it_was_resized() -> None:
    found, at = lived(4, [(MS_PER_HOUR, 2), (MS_PER_HOUR, 8)])
    hour = Instant(START + MS_PER_HOUR)
    assert [pods_at(found, when) for when in (START, Instant(hour - 1), hour, at)] == [4, 4, 2, 8]
    assert sizes_between(found, START, Instant(at + 1)) == (4, 2, 8)
    assert sizes_between(found, START, at) == (4, 2)
    assert gpu_ms_within(found, START, Instant(at + MS_PER_HOUR)) == 2 * (4 + 2 + 8) * MS_PER_HOUR


def test_a_pod_has_its_gpus_from_the_growth_before_it_and_from_the_launch_where_there_was_none() -> None:
    found, at = lived(4, [(MS_PER_HOUR, 2), (MS_PER_HOUR + 700, 8)])
    assert [grown_by(found, when) for when in (START, Instant(START + MS_PER_HOUR), Instant(at - 700))] == [
        *(START, START),
        at,  # a start is stamped at the whole second
    ]


@given(st.integers(1, 8), resizes, st.integers(1, 5 * MS_PER_HOUR))
def test_the_time_in_which_it_used_so_much_is_the_time_that_it_ran(
    pods: int, changes: list[tuple[int, int]], more: int
) -> None:
    found, at = lived(pods, changes)
    end = Instant(at + more)
    used = gpu_ms_within(found, START, end)
    assert last_use(found, used, end) == tuple(stretches(found, START, end))


@given(st.integers(1, 8), resizes, st.integers(0, 10**9), st.integers(1, 10 * MS_PER_HOUR))
def test_what_is_divided_among_sizes_is_all_of_it(
    pods: int, changes: list[tuple[int, int]], gpu_ms: int, after: int
) -> None:
    found, _ = lived(pods, changes)
    parts = last_use(found, gpu_ms, Instant(START + after))
    assert sum(part.gpu_ms for part in parts) == gpu_ms
    assert parts[-1].end == START + after
    assert all(one.end == following.start for one, following in pairwise(parts))


@settings(max_examples=50)
@given(st.integers(1, 8), resizes, st.integers(1, 8), st.integers(0, 5 * MS_PER_HOUR))
def test_what_it_used_is_the_same_after_a_later_resize(
    pods: int, changes: list[tuple[int, int]], size: int, later: int
) -> None:
    before, at = lived(pods, changes)
    now = Instant(at + later)
    after = given_size(before, now, size)
    assert use_of(after, now, HALF_LIFE) == use_of(before, now, HALF_LIFE)
    for kind in (GuardWindow.HOUR, GuardWindow.DAY):
        period = window_at(kind, Instant(now - 1), "UTC")
        assert period is not None
        ends = [replace(each, ended_at=now) for each in (before, after)]
        assert used_by(ends[0], period) == used_by(ends[1], period)
        assert len({PastSpend().and_of(each, (kind,), "UTC") for each in ends}) == 1
    gone = Instant(max(START, now - MS_PER_HOUR))
    assert last_use(after, 10**6, gone) == last_use(before, 10**6, gone)


def test_two_hours_of_eight_gpus_and_two_of_two_weigh_twenty_gpu_hours() -> None:
    shrunk = given_size(begun(4), Instant(START + 2 * MS_PER_HOUR), 1)
    now = Instant(START + 4 * MS_PER_HOUR)
    assert abs(use_of(shrunk, now, 10_000 * HALF_LIFE) - 20 * MS_PER_HOUR - 8 * ENTRY_MS) < 1_000
    day = window_at(GuardWindow.DAY, START, "UTC")
    assert day is not None
    assert used_by(replace(shrunk, ended_at=now), day) == 20 * MS_PER_HOUR


def test_a_minimum_runtime_is_that_of_the_minimum_however_large_it_grew() -> None:
    rules = policy()
    terms = replace(rules.priority_classes[begun(4).priority_class], minimum_runtime_ms=30 * MS_PER_MINUTE)
    rules = replace(rules, priority_classes={**rules.priority_classes, terms.name: terms})
    assert [shelter_of(begun(pods), rules) for pods in (1, 4, 8)] == [MS_PER_HOUR] * 3
