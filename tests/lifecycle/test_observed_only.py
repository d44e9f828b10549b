"""The feed of what would have been done: told once, closed when it no longer would be, and bounded."""

from scheduler.domain.units import EngineerId, Instant, WorkloadId
from scheduler.lifecycle.memory.observed_only import Found, ObservedOnly, Would


def found(name: str, owner: str = "ada", **fields: int) -> Found:
    return Found(WorkloadId(name), name, EngineerId(owner), 1, f"Would have launched {name}.", **fields)


def test_what_is_found_again_and_again_is_told_once() -> None:
    feed = ObservedOnly()
    told = [[item.workload_name for item in feed.note(Would.LAUNCH, [found("a")], Instant(at))] for at in (1, 2, 3)]
    assert told == [["a"], [], []]
    (item,) = feed.items()
    assert (item.since, item.until) == (1, None)


def test_what_is_found_no_more_is_closed_and_what_comes_back_is_opened_without_being_news() -> None:
    feed = ObservedOnly()
    feed.note(Would.LAUNCH, [found("a"), found("b")], Instant(1))
    feed.note(Would.LAUNCH, [found("b")], Instant(2))
    assert {item.workload_name: item.until for item in feed.items()} == {"a": 2, "b": None}
    assert feed.open_counts()[Would.LAUNCH] == 1
    assert feed.note(Would.LAUNCH, [found("a"), found("b")], Instant(3)) == []
    assert {item.until for item in feed.items()} == {None}


def test_one_workload_may_be_launched_and_charged_and_its_amounts_follow() -> None:
    feed = ObservedOnly()
    feed.note(Would.LAUNCH, [found("a", held=5)], Instant(1))
    feed.note(Would.CHARGE, [found("a", charged=1)], Instant(2))
    assert feed.note(Would.CHARGE, [found("a", charged=7)], Instant(3)) == []
    assert [(item.would, item.held, item.charged) for item in feed.items()] == [
        (Would.CHARGE, 0, 7),
        (Would.LAUNCH, 5, 0),
    ]


def test_a_full_feed_forgets_what_is_closed_first_and_announces_nothing_twice() -> None:
    feed = ObservedOnly(items_max=3)
    feed.note(Would.STOP, [found("old")], Instant(1))
    feed.note(Would.STOP, [], Instant(2))
    many = [found(name) for name in "abcde"]
    assert len(feed.note(Would.LAUNCH, many, Instant(3))) == 5
    assert feed.note(Would.LAUNCH, many, Instant(4)) == []
    assert [item.workload_name for item in feed.items()] == ["e", "d", "c"]
    assert feed.open_counts()[Would.LAUNCH] == 5


def test_items_are_read_newest_first_by_owner_and_after_a_number() -> None:
    feed = ObservedOnly()
    feed.note(Would.LAUNCH, [found("a"), found("b", "bob"), found("c")], Instant(1))
    assert [item.workload_name for item in feed.items(limit=2)] == ["c", "b"]
    assert [item.workload_name for item in feed.items(owner=EngineerId("bob"))] == ["b"]
    assert [item.workload_name for item in feed.items(after_seq=2)] == ["c"]
