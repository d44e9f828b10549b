"""Moves that make room for a gang which nothing but fragments keeps waiting."""

from dataclasses import replace
from typing import Any

from scheduler.decision.decide import decide, step
from scheduler.decision.snapshot import Changes
from scheduler.decision.state import State
from scheduler.decision.walking.consolidation import MOVES_AT_ONCE
from scheduler.domain.brakes import Brake, Pause, Stop, StopRate
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.reasons import Reason
from scheduler.domain.topology import LevelName, TopologyLevel
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_SECOND,
    Instant,
    NodeName,
    PerMille,
    PriorityClassName,
    WorkloadId,
)
from scheduler.domain.workloads import AttemptState, WorkloadKind
from tests.decision.applying import ended, recorded
from tests.decision.builders import (
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    balance,
    everything,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    victims,
    workload,
)
from tests.decision.scattered import FRAGMENTS, THREE, moves, moving, saved, world
from tests.decision.test_bookings import booking
from tests.decision.test_topology import gang, standing


def test_the_cheapest_move_makes_room_for_a_whole_node() -> None:
    plan = decide(world(*FRAGMENTS))

    assert victims(plan) == {"whole": ["b"]}
    assert moves(plan) == {"b": {"n1": 1}}
    made = plan.preemptions[0]
    assert dict(made.launch.placement.pods_by_node) == {"n2": 1}
    assert (made.victims[0].rule, made.victims[0].comparison) == (
        "consolidation",
        "moved to n1, so that 1 × 8 GPUs fit",
    )
    assert made.moves[0].funding
    assert reasons(plan) == {"whole": Reason.AWAITING_PREEMPTION}


def test_nothing_is_moved_unless_policy_and_the_class_allow_it() -> None:
    off = decide(world(*FRAGMENTS, by=moving(consolidation=ConsolidationTerms())))
    assert (victims(off), reasons(off)) == ({}, {"whole": Reason.RESOURCES})

    firm = replace(STANDARD, is_preemptible=False)
    assert victims(decide(world(*FRAGMENTS, by=moving(URGENT, firm, SPARE)))) == {}
    other = ConsolidationTerms(frozenset({SPARE.name}))
    assert victims(decide(world(*FRAGMENTS, by=moving(consolidation=other)))) == {}


def test_what_has_no_checkpoint_or_lost_too_much_since_stays() -> None:
    unsaved = [attempt(each.workload_id, each.placement.pods_by_node[0][0], gpus=each.gpus) for each in FRAGMENTS]
    assert victims(decide(world(*unsaved))) == {}

    # 4 GPUs × 16 minutes are more than an hour of one GPU, 4 × 15 are not.
    assert victims(decide(world(saved("a", "n1", 4, minutes_ago=16), FRAGMENTS[2], known=_two()))) == {}
    assert moves(
        decide(world(saved("a", "n1", 4, minutes_ago=15), saved("c", "n2", 4, minutes_ago=16), known=_two()))
    )


def _two() -> dict[NodeName, Any]:
    return nodes(node("n1", 8), node("n2", 8), node("n3", 4))


def test_a_checkpoint_alone_makes_it_movable() -> None:
    by, dear = moving(), [saved("a", "n1", 4, minutes_ago=50), saved("b", "n2", 4, minutes_ago=50)]
    before = world(*dear, by=by, known=nodes(node("n1", 8), node("n2", 8)))
    state, plan = step(State(), everything(before), NOW)
    assert victims(plan) == {}

    fresh = replace(dear[0], checkpointed_at=NOW)
    assert moves(step(state, Changes(attempts={fresh.id: fresh}), NOW)[1]) == {"a": {"n2": 1}}


def test_nobody_is_moved_inside_the_minimum_runtime_or_for_somebody_of_less_priority() -> None:
    sheltered = replace(STANDARD, minimum_runtime_ms=2 * MS_PER_HOUR)
    assert victims(decide(world(*FRAGMENTS, by=moving(URGENT, sheltered, SPARE)))) == {}

    meek = workload("whole", gpus=8, priority_class=SPARE)
    assert victims(decide(world(*FRAGMENTS, queued=[meek]))) == {}
    equal = workload("whole", gpus=8)
    assert victims(decide(world(*FRAGMENTS, queued=[equal]))) == {"whole": ["b"]}


def test_a_sandbox_stays_and_so_does_what_could_not_end_in_time_any_more() -> None:
    plain = world(*FRAGMENTS)
    sandboxes = {
        name: replace(each, spec=replace(each.spec, kind=WorkloadKind.SANDBOX))
        for name, each in plain.launched.items()
    }
    assert victims(decide(replace(plain, launched=sandboxes))) == {}

    for millisecond, fallen in ((0, {"whole": ["b"]}), (1, {})):  # each needs 30 seconds to save and an hour to run
        by = Instant(NOW + MS_PER_HOUR + 30 * MS_PER_SECOND - millisecond)
        late = {name: replace(each, spec=replace(each.spec, finish_by=by)) for name, each in plain.launched.items()}
        assert victims(decide(replace(plain, launched=late))) == fallen


def test_nothing_is_moved_for_a_gang_that_could_not_end_in_time_once_it_has_saved_its_work() -> None:
    for millisecond, fallen in ((0, {"whole": ["b"]}), (1, {})):
        by = Instant(NOW + MS_PER_HOUR + 30 * MS_PER_SECOND - millisecond)
        gang = workload("whole", gpus=8)
        late = replace(gang, spec=replace(gang.spec, finish_by=by))
        assert victims(decide(world(*FRAGMENTS, queued=[late]))) == fallen


def test_nothing_is_moved_where_the_gang_could_start_otherwise() -> None:
    free = decide(world(*FRAGMENTS, known={**THREE, **nodes(node("n4", 8))}))
    assert (placements(free), victims(free)) == ({"whole": {"n4": 1}}, {})

    ending = replace(FRAGMENTS[0], state=AttemptState.STOPPING, stop_reason=Reason.CANCELLED)
    assert victims(decide(world(ending, *FRAGMENTS[1:]))) == {}

    urgent = workload("whole", gpus=8, priority_class=URGENT)
    taken = decide(world(*FRAGMENTS, queued=[urgent]))
    assert taken.preemptions[0].victims[0].rule == "withinPool"
    assert moves(taken) == {}


def test_nothing_is_moved_where_gpus_quota_or_hours_are_short_too() -> None:
    scarce = decide(world(saved("a", "n1", 5), saved("b", "n2", 5), saved("c", "n3", 7)))
    assert (victims(scarce), reasons(scarce)) == ({}, {"whole": Reason.RESOURCES})

    small = replace(moving(), pools=policy(pool("red", gpus=20)).pools)
    assert reasons(decide(world(*FRAGMENTS, by=small))) == {"whole": Reason.QUOTA}

    poor = decide(world(*FRAGMENTS, balances=[balance("ada", 1), balance("bob", 1000)]))
    assert (victims(poor), reasons(poor)) == ({}, {"whole": Reason.ALLOWANCE_SHORT})


def test_no_more_is_moved_than_policy_says_and_none_that_is_not_needed() -> None:
    crumbs = [saved(f"s{number}", "n1", 1, minutes_ago=number) for number in range(1, 5)]
    known = nodes(node("n1", 8), node("n2", 8))
    full = saved("c", "n2", 4, minutes_ago=30)
    assert sorted(moves(decide(world(*crumbs, full, known=known)))) == ["s1", "s2", "s3", "s4"]
    assert victims(decide(world(*crumbs, full, known=known, by=moving(moves_max=3)))) == {}

    # Two GPUs would do: of what is cheapest first, the one that turns out to be too small is left where it is.
    crumb, lump = saved("crumb", "n1", 1, minutes_ago=1), saved("lump", "n1", 4, minutes_ago=9)
    six = workload("six", gpus=7)
    plan = decide(world(crumb, lump, saved("c", "n2", 4, minutes_ago=30), known=known, queued=[six]))
    assert moves(plan) == {"lump": {"n2": 1}}


def test_a_gang_of_two_is_not_helped_by_the_one_move_that_policy_allows() -> None:
    gang = [workload("gang", gpus=8, pods=2)]
    crumbs = (saved("a", "n1", 1), saved("b", "n2", 1))
    roomy = THREE | nodes(node("n3", 7), node("n4", 2))

    assert moves(decide(world(*crumbs, known=roomy, queued=gang, by=moving(moves_max=1)))) == {}
    assert set(moves(decide(world(*crumbs, known=roomy, queued=gang, by=moving(moves_max=2))))) == {"a", "b"}


def test_a_move_that_a_later_one_makes_needless_is_not_made() -> None:
    """The crumb would make room for one pod of two, cheapest of all; the lump makes room for both."""
    known = nodes(node("n1", 8), node("n2", 8), node("n3", 5, cpu=6000), node("n4", 1, cpu=2000))
    firm = attempt("firm", "n1", gpus=4)
    crumb, lump = saved("crumb", "n1", 1, minutes_ago=1), saved("lump", "n2", 5, minutes_ago=9)
    pair = workload("pair", gpus=4, pods=2, cpu=8000)

    plan = decide(world(firm, crumb, lump, known=known, queued=[pair]))

    assert moves(plan) == {"lump": {"n3": 1}}
    assert dict(plan.preemptions[0].launch.placement.pods_by_node) == {"n2": 2}


def test_a_pod_of_the_gang_is_never_displaced_by_what_is_moved() -> None:
    """A gang of two whole nodes: what leaves one of them must not go to the other."""
    known = {**THREE, **nodes(node("n4", 8))}
    three = [saved("a", "n1", 2), saved("b", "n2", 2, minutes_ago=3), saved("c", "n3", 2, minutes_ago=20)]
    plan = decide(
        world(*three, saved("d", "n4", 2, minutes_ago=20), known=known, queued=[workload("g", gpus=8, pods=2)])
    )

    assert sorted(moves(plan)) == ["a", "b"]
    assert {on for each in moves(plan).values() for on in each} <= {"n3", "n4"}
    assert dict(plan.preemptions[0].launch.placement.pods_by_node) == {"n1": 1, "n2": 1}


def test_a_gang_that_requires_a_rack_gets_one_and_the_cheapest() -> None:
    by = moving(topology=(TopologyLevel(LevelName("block"), "block"), TopologyLevel(LevelName("rack"), "rack")))
    known = nodes(
        standing("a1", 8, "x/1"), standing("a2", 8, "x/1"), standing("b1", 8, "x/2"), standing("b2", 8, "x/2")
    )
    running = [saved("p", "a1", 4, minutes_ago=9), saved("q", "b1", 4, minutes_ago=3)]
    blocked = [gang(4, "require:rack", name="g")]

    plan = decide(world(*running, by=by, known=known, queued=blocked))

    assert moves(plan) == {"q": {"a1": 1}}
    assert dict(plan.preemptions[0].launch.placement.pods_by_node) == {"b1": 2, "b2": 2}


def test_whoever_is_first_to_wait_for_a_class_is_the_only_one_for_whom_work_is_moved() -> None:
    first = workload("first", gpus=8, pods=2, age=9)
    plan = decide(world(*FRAGMENTS, queued=[first, workload("whole", gpus=8)]))

    assert (victims(plan), reasons(plan)["first"]) == ({}, Reason.RESOURCES)


def test_moves_obey_the_brakes_of_preemption() -> None:
    paused = decide(world(*FRAGMENTS, pauses=(Pause(Brake.PREEMPT, "ops", "a look", NOW),)))
    assert (victims(paused), reasons(paused)) == ({}, {"whole": Reason.PREEMPTION_PAUSED})

    slow = moving(preempt_rate=StopRate(PerMille(0), floor=4))
    assert victims(decide(world(*FRAGMENTS, by=slow))) == {"whole": ["b"]}
    stopped = (Stop(Brake.PREEMPT, NOW, 1),)
    assert reasons(decide(world(*FRAGMENTS, by=slow, stops=stopped))) == {"whole": Reason.STOP_RATE}


def test_what_was_moved_starts_at_its_new_place_as_soon_as_it_has_ended() -> None:
    before = world(*FRAGMENTS)
    stopping = recorded(before, decide(before))
    quiet = decide(stopping)
    assert (quiet.launches, quiet.preemptions, quiet.lapsed) == ((), (), ())

    # Nobody else gets its place meanwhile, however long it takes to end.
    thief = workload("thief", gpus=4, owner="eve", priority_class=URGENT)
    crowded = replace(
        stopping,
        now=Instant(NOW + MS_PER_HOUR),
        queued={**stopping.queued, thief.id: thief},
        balances={**stopping.balances, **{each.allowance.id: each for each in [balance("eve")]}},
    )
    assert "n1" not in placements(decide(crowded)).get("thief", {})
    assert WorkloadId("b") not in decide(crowded).lapsed

    assert placements(decide(ended(stopping))) == {"b": {"n1": 1}, "whole": {"n2": 1}}


def test_a_place_that_is_lost_is_given_up_and_one_whose_work_is_over_too() -> None:
    before = world(*FRAGMENTS)
    stopping = recorded(before, decide(before))

    cordoned = replace(stopping, nodes={**THREE, **nodes(node("n1", 8, accepts_work=False))})
    assert decide(cordoned).lapsed == ("b",)
    broken = replace(stopping, nodes={**THREE, **nodes(node("n1", 7))})
    assert decide(broken).lapsed == ("b",)

    done = ended(stopping)
    over = replace(done, queued={name: each for name, each in done.queued.items() if name != "b"})
    assert decide(over).lapsed == ("b",)


def test_neither_the_gang_nor_what_is_moved_for_it_takes_what_is_booked() -> None:
    """Half of the second node is booked: the gang, which would outlast that, cannot have it whole; what is moved goes
    there only where it will have ended in time."""
    a, b, c = *FRAGMENTS[:2], saved("c", "n3", 4, minutes_ago=9)
    three = (a, replace(b, time_limit_ms=24 * MS_PER_HOUR), c)
    long_gang = [workload("whole", gpus=8, hours=9)]
    in_time = booking(on="n2", gpus=4, in_hours=2, hours=12, owner="eve", project=None)
    plan = decide(world(*three, in_time, queued=long_gang))
    assert moves(plan) == {"a": {"n2": 1}}
    assert dict(plan.preemptions[0].launch.placement.pods_by_node) == {"n1": 1}

    too_soon = booking(on="n2", gpus=4, in_hours=0.5, hours=12, owner="eve", project=None)
    assert moves(decide(world(*three, too_soon, queued=long_gang))) == {"a": {"n3": 1}}


def test_what_runs_on_a_node_that_is_gone_is_moved_for_nobody() -> None:
    """It is the cheapest of all, and its place is no use to anybody."""
    lost = saved("lost", "gone", 4, minutes_ago=1)
    assert moves(decide(world(lost, *FRAGMENTS))) == {"b": {"n1": 1}}


def test_what_the_policy_has_no_class_for_any_more_stays_where_it_is() -> None:
    """It was given another class while it ran; whoever launched it again could not be told its terms."""
    given = world(*FRAGMENTS)
    of = given.launched[WorkloadId("b")]
    other = replace(of, spec=replace(of.spec, priority_class=PriorityClassName("gone")))
    plan = decide(replace(given, launched={**given.launched, other.id: other}))
    assert moves(plan) == {"a": {"n2": 1}}


def test_once_the_first_is_served_the_next_is_first_in_the_same_cycle() -> None:
    four = {**THREE, **nodes(node("n4", 8))}
    halves = [saved(name, f"n{number}", 4, minutes_ago=number) for number, name in enumerate("abcd", start=1)]
    gangs = [workload("one", gpus=8, age=9), workload("two", gpus=8, age=8)]
    plan = decide(world(*halves, known=four, queued=gangs))

    assert sorted(victims(plan)) == ["one", "two"]
    assert sorted(moves(plan)) == ["a", "b"]
    slow = decide(world(*halves, known=four, queued=gangs, by=moving(preempt_rate=StopRate(PerMille(0), floor=4))))
    assert (victims(slow), reasons(slow)["two"]) == ({"one": ["a"]}, Reason.STOP_RATE)


def test_nobody_is_moved_for_two_at_once() -> None:
    """The first gang leaves two of the GPUs that are free where one is moved away for it: the four of that one were enough
    for the second, could it be moved once more."""
    four = {**THREE, **nodes(node("n4", 8))}
    halves = [saved(name, f"n{number}", 4, minutes_ago=number) for number, name in enumerate("abcd", start=1)]
    gangs = [workload("one", gpus=6, age=9), workload("two", gpus=6, age=8)]
    assert victims(decide(world(*halves, known=four, queued=gangs))) == {"one": ["a"], "two": ["b"]}


def test_so_many_are_moved_at_once_and_no_more_until_they_run_again() -> None:
    """However many gangs wait, a cycle stays short, and the next plans nothing that this one did not."""
    crowd = MOVES_AT_ONCE + 2
    known = nodes(*(node(f"n{number:02}", 8) for number in range(2 * crowd)))
    halves = [saved(f"r{number:02}", f"n{number:02}", 4) for number in range(2 * crowd)]
    gangs = [workload(f"w{number:02}", gpus=8) for number in range(crowd)]
    given = world(*halves, known=known, queued=gangs, by=moving(quota=1000))

    plan = decide(given)
    stopping = recorded(given, plan)
    meanwhile = decide(stopping)
    moved = ended(stopping)
    again = decide(moved)
    following = decide(recorded(moved, again))

    assert sorted(victims(plan)) == [f"w{number:02}" for number in range(MOVES_AT_ONCE)]
    assert reasons(plan)[f"w{MOVES_AT_ONCE:02}"] == Reason.RESOURCES
    assert (meanwhile.launches, victims(meanwhile)) == ((), {})
    assert sorted(victims(following)) == [f"w{number:02}" for number in range(MOVES_AT_ONCE, crowd)]
