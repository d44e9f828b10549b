"""Whoever is moved pays for a second start: who can, who cannot, and how often others are looked for instead."""

from dataclasses import replace

from scheduler.decision.decide import decide
from scheduler.decision.walking.consolidation import SEARCHES_MAX
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    EngineerId,
)
from scheduler.domain.workloads import HoldMode
from tests.decision.builders import (
    SPARE,
    STANDARD,
    URGENT,
    balance,
    node,
    nodes,
    victims,
    workload,
)
from tests.decision.scattered import FRAGMENTS, moving, saved, world


def test_only_those_are_moved_who_can_pay_for_a_second_start() -> None:
    poor = replace(FRAGMENTS[1], owner=EngineerId("cyd"))
    balances = [balance("ada"), balance("bob"), balance("cyd", 3.9)]
    assert victims(decide(world(FRAGMENTS[0], poor, FRAGMENTS[2], balances=balances))) == {"whole": ["a"]}

    # The gang's own eight hours come first out of the same allowance.
    ours = [replace(each, owner=EngineerId("ada")) for each in FRAGMENTS]
    assert victims(decide(world(*ours, balances=[balance("ada", 11.9)]))) == {}
    assert victims(decide(world(*ours, balances=[balance("ada", 12)]))) == {"whole": ["b"]}


def test_a_rolling_hold_needs_no_more_than_a_slice_for_the_second_start() -> None:
    rolling = replace(STANDARD, hold=HoldMode.ROLLING, slice_ms=15 * MS_PER_MINUTE)
    plan = decide(world(*FRAGMENTS, by=moving(URGENT, rolling, SPARE)))

    assert sum(share.amount for share in plan.preemptions[0].moves[0].funding) == MS_PER_HOUR


def test_owners_who_cannot_pay_use_up_one_search_all_together() -> None:
    """Each is cheaper to move than who can pay; none of them is tried after the first has turned out to be short."""
    known = nodes(*(node(f"n{number:02}", 8) for number in range(SEARCHES_MAX + 4)))
    broke = [
        saved(f"r{number:02}", f"n{number:02}", 4, minutes_ago=1, owner=f"poor{number}")
        for number in range(SEARCHES_MAX + 2)
    ]
    pays = saved("pays", f"n{SEARCHES_MAX + 2:02}", 4, minutes_ago=9)
    rest = saved("rest", f"n{SEARCHES_MAX + 3:02}", 4, minutes_ago=9)
    balances = [balance("ada"), balance("bob"), *(balance(each.owner, 3.9) for each in broke)]

    plan = decide(world(*broke, pays, rest, known=known, balances=balances))

    assert victims(plan) == {"whole": ["pays"]}


def test_who_can_pay_for_one_second_start_but_not_for_two_leaves_the_moves_to_others() -> None:
    """Both of bob's are the cheapest; with one of them his hours are spent."""
    known = nodes(*(node(f"n{number}", 8) for number in range(8)))
    running = [
        *(saved(f"b{number}", f"n{number}", 4, minutes_ago=1) for number in range(2)),
        *(saved(f"c{number}", f"n{number}", 4, minutes_ago=9, owner="cyd") for number in range(2, 8)),
    ]
    pair = workload("pair", gpus=8, pods=2)
    balances = [balance("ada"), balance("bob", 5), balance("cyd")]

    plan = decide(world(*running, known=known, queued=[pair], balances=balances))

    assert victims(plan) == {"pair": ["c2", "c3"]}


def test_a_gang_is_searched_for_so_often_and_no_more() -> None:
    """Of each pair of the cheapest its owner can pay for one second start alone; who pays for two comes behind them."""

    def planned(pairs: int) -> dict[str, list[str]]:
        owners = [f"poor{number}" for number in range(pairs)]
        halves = [(owner, minutes) for minutes, owner in enumerate([*owners, "cyd"], start=1) for _ in range(2)]
        known = nodes(*(node(f"n{number:02}", 8) for number in range(len(halves) + 2)))
        running = [
            saved(f"r{number:02}", f"n{number:02}", 4, minutes_ago=minutes, owner=owner)
            for number, (owner, minutes) in enumerate(halves)
        ]
        running += [saved(f"to{number}", f"n{len(halves) + number}", 4, minutes_ago=15) for number in range(2)]
        balances = [balance("ada"), balance("bob"), balance("cyd"), *(balance(owner, 5) for owner in owners)]
        pair = workload("pair", gpus=8, pods=2)
        return victims(decide(world(*running, known=known, queued=[pair], balances=balances, by=moving(quota=100))))

    assert planned(SEARCHES_MAX - 1) == {"pair": ["r14", "r15"]}
    assert planned(SEARCHES_MAX) == {}
