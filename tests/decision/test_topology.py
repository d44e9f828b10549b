"""Gangs that ask where their pods stand to each other: in one rack or block, or in as few as there is room for."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.placing.fit_table import FitTable
from scheduler.decision.placing.shape import Shape
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.domain.cluster import Node, PodRequest
from scheduler.domain.policy import Policy
from scheduler.domain.reasons import Reason
from scheduler.domain.topology import LevelName, TopologyAsk, TopologyLevel, TopologyMode, domain_of, topology_ask
from scheduler.domain.units import NodeName
from scheduler.domain.workloads import Workload
from tests.decision.builders import (
    NOW,
    URGENT,
    attempt,
    cold,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    snapshot,
    victims,
    workload,
)
from tests.decision.worlds import ASKS, snapshots

LEVELS = tuple(TopologyLevel(LevelName(name), name) for name in ("block", "rack"))


def racked() -> Policy:
    return replace(policy(pool("red", gpus=64)), topology=LEVELS)


def standing(name: str, gpus: int, place: str) -> Node:
    """A node in `block/rack`."""
    block, rack = place.split("/")
    return node(name, gpus, labels={"block": block, "rack": rack})


def gang(pods: int, ask: str, *, gpus: int = 4, name: str = "gang", **changes: object) -> Workload:
    made = workload(name, gpus=gpus, pods=pods, **changes)  # type: ignore[arg-type] # by name
    return replace(made, spec=replace(made.spec, topology=topology_ask(ask)))


def decided(known: dict[NodeName, Node], *queued: Workload, **changes: object) -> Plan:
    return decide(snapshot(known, queued, by=racked(), **changes))  # type: ignore[arg-type] # by name


def test_a_gang_that_requires_a_rack_takes_the_one_with_least_room_left() -> None:
    known = nodes(
        standing("a1", 8, "x/1"),
        standing("a2", 8, "x/1"),
        standing("b1", 8, "x/2"),
        standing("b2", 4, "x/2"),
        standing("c1", 4, "y/1"),
        standing("c2", 4, "y/1"),
    )

    assert placements(decided(known, gang(3, "require:rack"))) == {"gang": {"b1": 2, "b2": 1}}
    assert placements(decided(known, gang(2, "require:rack"))) == {"gang": {"c1": 1, "c2": 1}}


def test_racks_of_two_blocks_are_two_though_they_have_one_name() -> None:
    plan = decided(nodes(standing("a", 4, "x/1"), standing("b", 4, "y/1")), gang(2, "require:rack"))

    assert (placements(plan), reasons(plan)) == ({}, {"gang": Reason.TOPOLOGY_UNPLACEABLE})
    assert plan.verdicts[0].evidence == {
        "pods": 2,
        "gpus_per_pod": 4,
        "gpu_class": "h100",
        "level": "rack",
        "domain": "x/1",
        "fitting": 1,
    }


def test_a_gang_waits_for_room_in_one_rack_though_there_is_room_over_all() -> None:
    known = nodes(standing("a1", 8, "x/1"), standing("b1", 8, "x/2"))
    busy = [attempt("r1", "a1", gpus=4, priority_class=URGENT), attempt("r2", "b1", gpus=4, priority_class=URGENT)]
    plan = decided(known, gang(2, "require:rack"), attempts=busy)

    assert (placements(plan), reasons(plan)) == ({}, {"gang": Reason.TOPOLOGY})
    assert (plan.verdicts[0].evidence["domain"], plan.verdicts[0].evidence["fitting"]) == ("x/1", 1)


def test_a_gang_that_prefers_a_rack_widens_to_its_block_and_then_to_the_fewest() -> None:
    known = nodes(
        standing("a1", 4, "x/1"),
        standing("a2", 4, "x/2"),
        standing("a3", 4, "x/2"),
        standing("b1", 8, "y/1"),
        standing("b2", 4, "y/2"),
        standing("c1", 4, "z/1"),
    )

    assert placements(decided(known, gang(2, "prefer:rack"))) == {"gang": {"a2": 1, "a3": 1}}
    assert placements(decided(known, gang(3, "prefer:rack"))) == {"gang": {"a1": 1, "a2": 1, "a3": 1}}
    assert placements(decided(known, gang(4, "prefer:rack"))) == {"gang": {"a1": 1, "a2": 1, "a3": 1, "c1": 1}}


def test_a_gang_that_requires_a_block_keeps_to_the_fewest_of_its_racks() -> None:
    known = nodes(*(standing(f"n{rack}{number}", 4, f"x/{rack}") for rack in (1, 2, 3) for number in range(rack)))

    assert placements(decided(known, gang(4, "require:block"))) == {"gang": {"n10": 1, "n30": 1, "n31": 1, "n32": 1}}


def test_a_node_that_says_nothing_of_its_rack_is_a_rack_of_its_own() -> None:
    known = nodes(node("bare", 8), node("naked", 8))

    assert placements(decided(known, gang(2, "require:rack"))) == {"gang": {"bare": 2}}
    too_large = decided(known, gang(3, "require:rack"))
    assert reasons(too_large) == {"gang": Reason.TOPOLOGY_UNPLACEABLE}
    assert too_large.verdicts[0].evidence["domain"] == "bare"


def test_a_node_that_is_moved_to_another_rack_counts_there() -> None:
    known = nodes(standing("a1", 8, "x/1"), standing("b1", 8, "x/2"))
    one = gang(4, "require:rack")
    state = cold(snapshot(known, [one], by=racked()))
    assert state.verdicts[one.id].reason is Reason.TOPOLOGY_UNPLACEABLE

    moved = Changes(nodes=nodes(standing("b1", 8, "x/1")))
    assert placements(step(state, moved, NOW)[1]) == {"gang": {"a1": 2, "b1": 2}}


def test_a_gang_may_require_and_prefer_a_single_node() -> None:
    known = nodes(standing("a", 8, "x/1"), standing("b", 4, "x/1"))

    assert placements(decided(known, gang(2, "require:node"))) == {"gang": {"a": 2}}
    assert reasons(decided(known, gang(3, "require:node"))) == {"gang": Reason.TOPOLOGY_UNPLACEABLE}
    assert placements(decided(known, gang(3, "prefer:node"))) == {"gang": {"a": 2, "b": 1}}


def test_no_more_than_one_rack_is_cleared_for_a_gang_that_requires_one() -> None:
    known = nodes(standing("a1", 8, "x/1"), standing("a2", 8, "x/1"), standing("b1", 8, "y/1"))
    busy = [attempt(name, on, gpus=8) for name, on in (("r1", "a1"), ("r2", "b1"), ("r3", "a2"))]
    plan = decided(known, gang(2, "require:rack", gpus=8, priority_class=URGENT), attempts=busy)

    assert {name: sorted(fallen) for name, fallen in victims(plan).items()} == {"gang": ["r1", "r3"]}


@given(snapshots(), st.sampled_from(ASKS))
@settings(max_examples=60, deadline=None)
def test_whoever_requires_a_domain_stands_in_one(snapshot: Snapshot, ask: TopologyAsk) -> None:
    asking = {name: replace(each, spec=replace(each.spec, topology=ask)) for name, each in snapshot.queued.items()}
    plan = decide(replace(snapshot, queued=asking, reservations={}))

    for launch in [*plan.launches, *(each.launch for each in plan.preemptions)]:
        domains = {
            domain_of(name, snapshot.nodes[name].labels, snapshot.policy.topology, ask.level)
            for name, _ in launch.placement.pods_by_node
        }
        assert not ask.is_required or len(domains) == 1


fleets = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("xy"), st.sampled_from("12")), min_size=1, max_size=6)


@given(fleets, st.integers(1, 8), st.sampled_from(["block", "rack"]))
@settings(max_examples=100, deadline=None)
def test_a_preference_never_keeps_a_gang_out_and_takes_one_domain_where_one_is_enough(
    fleet: list[tuple[int, str, str]], pods: int, level: str
) -> None:
    table = FitTable(LEVELS)
    made = [standing(f"n{number}", gpus, f"{block}/{rack}") for number, (gpus, block, rack) in enumerate(fleet)]
    table.replace_nodes(made, {})
    shape = Shape(PodRequest(1, 0, 0), topology=TopologyAsk(TopologyMode.PREFER, LevelName(level)))
    row = table.row(shape)
    placement = table.placement(row, table.counts(row), pods)

    def by_domain(name: str, counts: dict[NodeName, int]) -> dict[tuple[str, ...], int]:
        sums: dict[tuple[str, ...], int] = {}
        for each in made:
            place = domain_of(each.name, each.labels, LEVELS, LevelName(name))
            sums[place] = sums.get(place, 0) + counts.get(each.name, 0)
        return {place: count for place, count in sums.items() if count}

    assert (placement is not None) is (sum(gpus for gpus, _, _ in fleet) >= pods)
    if placement is None:
        return
    assert placement.pods == pods
    taken, room = dict(placement.pods_by_node), {each.name: each.gpus for each in made}
    for name in ("rack", "block")[("rack", "block").index(level) :]:
        if max(by_domain(name, room).values()) >= pods:
            assert len(by_domain(name, taken)) == 1
            return
    sizes = sorted(by_domain("block", room).values(), reverse=True)
    fewest = next(count for count in range(1, len(sizes) + 1) if sum(sizes[:count]) >= pods)
    assert len(by_domain("block", taken)) == fewest


def test_a_table_without_nodes_places_nothing() -> None:
    table = FitTable(LEVELS)
    row = table.row(Shape(PodRequest(1, 0, 0)))
    assert table.placement(row, table.counts(row), 1) is None
