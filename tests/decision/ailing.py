"""Generated worlds whose nodes fall ill, recover, and are labelled anew, under gangs, elastic jobs
and work that may be moved.

Two racks in each of two blocks, mostly full; and what may become of such a world from one cycle to the next.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.domain.cluster import Node, PodRequest, Taint
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.policy import Limits, Policy, ReclaimWithinCohort, WithinPool
from scheduler.domain.topology import LevelName, TopologyAsk, TopologyMode, domain_of
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, Instant, NodeName, WorkloadId
from scheduler.domain.workloads import ArrayPlace, Attempt, AttemptState, ElasticTerms, Workload
from tests.decision.applying import ended, workload_of
from tests.decision.beside import in_use, most_held, of_one_class, ran, spread
from tests.decision.builders import (
    A100,
    H100,
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    balance,
    node,
    nodes,
    policy,
    pool,
    snapshot,
    workload,
)
from tests.decision.stretched import APOLLO
from tests.decision.test_bookings import booking
from tests.decision.worlds import OWNERS, TOPOLOGY, mostly

POOLS = ("red", "blue")
ASKS = tuple(TopologyAsk(mode, LevelName(name)) for mode in TopologyMode for name in ("block", "rack", "node"))
GATHERED = tuple(ask for ask in ASKS if ask.is_required and ask.level != "node")
PLACES = (("x", "1"), ("x", "2"), ("y", "1"), ("y", "2"))
FIELDS = ("nodes", "queued", "attempts", "launched", "balances", "reservations")


@st.composite
def ailing(draw: st.DrawFn, *, waiting: int = 4) -> Snapshot:
    """Three to six nodes, a few of them ill; what runs is small and saved, or elastic, or a gang. At times there is a
    booking, beside which it was started."""
    known = nodes(*(draw(_nodes(f"n{number}")) for number in range(draw(mostly(4, 3, 6)))))
    attempts: list[Attempt] = []
    if draw(mostly(False, True)):
        attempts.append(_booked(draw, known))
    for number in range(draw(mostly(6, 2, 4, 8))):
        made = _running(draw, f"r{number}", known, attempts)
        if made is not None:
            attempts.append(made)
    queued = [draw(waiting_work(f"w{number}")) for number in range(draw(mostly(waiting, 0, 1)))]
    return snapshot(
        known,
        queued,
        by=draw(_policies()),
        attempts=attempts,
        launched={each.workload_id: workload_of(each) for each in attempts if not each.is_booking},
        balances=[balance(owner, draw(mostly(100_000, 100_000, 12))) for owner in OWNERS],
    )


@st.composite
def _policies(draw: st.DrawFn) -> Policy:
    lending = {
        "cohort": "all",
        "within_pool": draw(mostly(WithinPool.LOWER_PRIORITY, WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY)),
        "reclaim_within_cohort": draw(mostly(ReclaimWithinCohort.ANY, ReclaimWithinCohort.LOWER_PRIORITY)),
    }
    moves = ConsolidationTerms(frozenset({STANDARD.name, SPARE.name}), lost_max=4 * MS_PER_HOUR, moves_max=4)
    sheltered = replace(STANDARD, minimum_runtime_ms=draw(mostly(0, 10 * MS_PER_MINUTE)))
    made = policy(
        *(pool(name, gpus=draw(mostly(32, 8, 16)), **lending) for name in POOLS),
        classes=(URGENT, sheltered, SPARE),
        limits=Limits(gpus_per_engineer=draw(mostly(None, None, 20)), unfunded_gpus_per_engineer=6),
    )
    return replace(made, topology=TOPOLOGY, consolidation=draw(mostly(moves, ConsolidationTerms())))


@st.composite
def _nodes(draw: st.DrawFn, name: str) -> Node:
    return node(
        name,
        draw(mostly(8, 4)),
        gpu_class=draw(mostly(H100, H100, H100, A100)),
        labels=draw(_labels()),
        accepts_work=draw(mostly(True, True, False)),
    )


@st.composite
def _labels(draw: st.DrawFn) -> dict[str, str]:
    block, rack = draw(st.sampled_from(PLACES))
    return {"block": block, "rack": rack, "disk": draw(mostly("ssd", "hdd"))}


def _running(draw: st.DrawFn, name: str, known: dict[NodeName, Node], others: list[Attempt]) -> Attempt | None:
    """Onto what is left: a single pod that was saved of late, or several pods, mostly elastic, in one rack or anywhere."""
    used = in_use(others)
    for on, held in most_held(others).items():
        used[on] = max(used.get(on, 0), held)
    left = {on: each.gpus - used.get(on, 0) for on, each in known.items()}
    gpus, wanted = draw(st.sampled_from([1, 2, 3, 4])), draw(mostly(1, 2, 3, 4))
    names = of_one_class(draw(st.permutations(sorted(known))), known)
    ask = draw(mostly(None, *GATHERED)) if wanted > 1 else None
    if ask is not None:
        home = domain_of(names[0], known[names[0]].labels, TOPOLOGY, ask.level)
        names = [on for on in names if domain_of(on, known[on].labels, TOPOLOGY, ask.level) == home]
    pods = spread(wanted, names, lambda on: left[on] // gpus)
    if not pods:
        return None
    made = ran(draw, name, pods, PodRequest(gpus, 1000, 1024), POOLS, gpu_class=known[names[0]].gpu_class or H100)
    if wanted == 1 or draw(mostly(False, True)):
        return made
    least = draw(st.integers(1, made.placement.pods))
    terms = ElasticTerms(least, made.placement.pods + draw(st.integers(0, 3)), project=APOLLO, topology=ask)
    return replace(made, elastic=terms)


def _booked(draw: st.DrawFn, known: dict[NodeName, Node]) -> Attempt:
    """Begun an hour ago, or to begin in minutes or hours."""
    on = draw(st.sampled_from(sorted(known)))
    gpus, at = draw(st.sampled_from([2, 4])), draw(st.sampled_from([-1, 0.1, 3]))
    made = booking("bk", on, gpus=gpus, in_hours=at, hours=6, team=draw(st.sampled_from(POOLS)))
    return replace(made, gpu_class=known[on].gpu_class or H100)


@st.composite
def waiting_work(draw: st.DrawFn, name: str, *, now: Instant = NOW) -> Workload:
    """Single pods and gangs, some of them elastic, some indexes of one array."""
    pods = draw(mostly(2, 1, 3, 4))
    made = workload(
        name,
        owner=draw(st.sampled_from(OWNERS)),
        team=draw(st.sampled_from(POOLS)),
        gpus=draw(st.sampled_from([1, 2, 4, 8])),
        pods=pods,
        hours=draw(st.sampled_from([0.25, 1, 5])),
        priority_class=draw(mostly(URGENT, STANDARD, SPARE)),
        classes=draw(mostly((H100,), (H100, A100))),
        nodes_with=draw(mostly((), (), (("disk", "ssd"),))),
    )
    spec = replace(
        made.spec,
        topology=draw(mostly(None, *ASKS)),
        min_pods=draw(st.integers(1, pods - 1)) if pods > 1 and draw(st.booleans()) else None,
    )
    made = replace(made, spec=spec, submitted_at=Instant(now - draw(st.integers(0, 3)) * 1000))
    if draw(mostly(False, True)):
        place = ArrayPlace(int(name[1:]), 99, draw(st.sampled_from([None, 1, 2])))
        return replace(made, spec=replace(spec, array=place), id=WorkloadId(f"sweep-i{name[1:]}"))
    return made


# --- what happens between two cycles ---------------------------------------------------------------------------------


@st.composite
def a_while_later(draw: st.DrawFn, world: Snapshot, number: int) -> Snapshot:
    """The world after one to three things have happened to it."""
    for each in range(draw(st.integers(1, 3))):
        happens: Callable[..., Snapshot] = draw(st.sampled_from(_EVENTS))
        world = happens(draw, world, f"{number}{each}")
    return world


def time_passes(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    return replace(world, now=Instant(world.now + draw(st.sampled_from([1, 45_000, 11 * MS_PER_MINUTE]))))


def _a_node_changes(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    """It is cordoned or tainted, recovers, loses GPUs to faults or to others, gets them back, is moved to another rack, has
    other GPUs, goes, comes."""
    name = NodeName(draw(st.sampled_from([*sorted(world.nodes), "n9"])))
    known = dict(world.nodes)
    old = known.pop(name, None)
    if old is None:
        return replace(world, nodes={**known, name: draw(_nodes(name))})
    kind = draw(st.sampled_from(["health"] * 3 + ["gpus"] * 3 + ["labels"] * 2 + ["gone", "class", "outside", "all"]))
    if kind == "gone":
        return replace(world, nodes=known)
    if kind == "all":
        return replace(world, nodes={})
    if kind == "health":
        taints = () if not old.accepts_work else (Taint("broken", "", "NoSchedule"),)
        old = replace(old, accepts_work=not old.accepts_work, taints=taints)
    elif kind == "gpus":
        old = replace(old, gpus=draw(st.sampled_from([old.gpus - 1, old.gpus - 2, 8])) if old.gpus > 2 else 8)
    elif kind == "class":
        old = replace(old, gpu_class=draw(st.sampled_from([H100, A100, None])))
    elif kind == "outside":
        old = replace(old, gpus=old.gpus // 2, outside_gpus=old.outside_gpus + old.gpus - old.gpus // 2)
    else:
        old = replace(old, labels=draw(_labels()))
    return replace(world, nodes={**known, name: old})


def an_attempt_goes_on(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    """It starts, writes a checkpoint, or ends."""
    if not world.attempts:
        return world
    attempts = dict(world.attempts)
    each = attempts[draw(st.sampled_from(sorted(attempts)))]
    if each.is_booking:
        return world
    if each.state is AttemptState.LAUNCHING:
        attempts[each.id] = replace(each, state=AttemptState.RUNNING, started_at=world.now)
    elif draw(st.booleans()):
        attempts[each.id] = replace(each, checkpointed_at=world.now)
    elif each.state is AttemptState.RUNNING:
        del attempts[each.id]
        return replace(world, attempts=attempts, launched=_without(world.launched, each.workload_id))
    return replace(world, attempts=attempts)


def all_start(_: st.DrawFn, world: Snapshot, __: str) -> Snapshot:
    attempts = {
        key: replace(each, state=AttemptState.RUNNING, started_at=world.now)
        if each.state is AttemptState.LAUNCHING and not each.is_booking
        else each
        for key, each in world.attempts.items()
    }
    return replace(world, attempts=attempts)


def what_stops_has_ended(_: st.DrawFn, world: Snapshot, __: str) -> Snapshot:
    return ended(world)


def _somebody_comes(draw: st.DrawFn, world: Snapshot, number: str) -> Snapshot:
    made = draw(waiting_work(f"w9{number}", now=world.now))
    return replace(world, queued={**world.queued, made.id: made})


_EVENTS = (
    time_passes,
    _a_node_changes,
    _a_node_changes,
    an_attempt_goes_on,
    all_start,
    what_stops_has_ended,
    _somebody_comes,
)


def _without(known: Any, key: object) -> dict[Any, Any]:
    return {each: value for each, value in known.items() if each != key}


def changes_between(before: Snapshot, after: Snapshot) -> Changes:
    """What is another, and nothing else."""
    changed: dict[str, dict[Any, Any]] = {}
    for name in FIELDS:
        old, new = getattr(before, name), getattr(after, name)
        changed[name] = {key: new.get(key) for key in {**old, **new} if old.get(key) != new.get(key)}
    return Changes(**changed)  # type: ignore[arg-type] # the mappings by name
