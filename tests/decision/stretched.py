"""Generated worlds of elastic work and bookings: nodes full of what can give back pods, and GPUs kept for somebody.

What `worlds.py` draws seldom fits together: here work runs where there is room for it, and a booking stands where
nothing that still runs by then is in its way, as whoever made it saw to it.
"""

from dataclasses import replace

from hypothesis import event
from hypothesis import strategies as st

from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.cluster import PodRequest
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.policy import Limits, Policy, ReclaimWithinCohort, WithinPool
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, NodeName, ProjectName
from scheduler.domain.workloads import Attempt, AttemptState, ElasticTerms, Workload
from tests.decision.applying import workload_of
from tests.decision.beside import in_use, most_held, ran, spread
from tests.decision.builders import (
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
from tests.decision.test_bookings import booking
from tests.decision.worlds import OWNERS, mostly

POOLS = ("red", "blue")
APOLLO = ProjectName("apollo")


@st.composite
def stretched(draw: st.DrawFn, *, waiting: int = 3) -> Snapshot:
    """Two or three nodes of eight GPUs under two pools of one cohort, mostly full."""
    known = nodes(*(node(f"n{number}", 8) for number in range(draw(st.integers(2, 3)))))
    attempts: list[Attempt] = []
    for number in range(draw(st.sampled_from([0, 1, 2]))):
        made = _booked(draw, f"bk{number}", sorted(known))
        if _fit([*attempts, made]):
            attempts.append(made)
    for number in range(draw(mostly(4, 1, 2, 6))):
        is_late = draw(mostly(False, False, True))
        running = _running(draw, f"r{number}", dict.fromkeys(known, 0) | (in_use if is_late else most_held)(attempts))
        if running is not None and is_late:
            running = replace(running, state=AttemptState.STOPPING, elastic=None, leaving=None)
        if running is not None and _fit([*attempts, running]):
            attempts.append(running)
    queued = [_waiting(draw, f"w{number}") for number in range(draw(mostly(waiting, 0, 1)))]
    return snapshot(
        known,
        queued,
        by=draw(_policies()),
        attempts=attempts,
        launched={each.workload_id: workload_of(each) for each in attempts if not each.is_booking},
        balances=[balance(owner, draw(mostly(1000, 1000, 12))) for owner in OWNERS],
    )


def _fit(attempts: list[Attempt]) -> bool:
    return all(gpus <= 8 for held in (in_use(attempts), most_held(attempts)) for gpus in held.values())


def note_reach(plan: Plan, given: Snapshot) -> None:
    """Count, for `--hypothesis-show-statistics`, which of the rarer things a plan does."""
    victims = [victim for preemption in plan.preemptions for victim in preemption.victims]
    happened = {
        "grows": bool(plan.growths),
        "shrinks somebody": any(victim.pods_left is not None for victim in victims),
        "stops somebody": any(victim.pods_left is None for victim in victims),
        "moves somebody": any(preemption.moves for preemption in plan.preemptions),
        "starts inside a booking": any(launch.booking_id for launch in plan.launches),
        "starts with fewer pods": any(
            launch.placement.pods < given.queued[launch.workload_id].spec.pods for launch in plan.launches
        ),
        "is told of a booking": any(each.is_booking for each in given.attempts.values()),
    }
    for name, does in happened.items():
        if does:
            event(name)


@st.composite
def _policies(draw: st.DrawFn) -> Policy:
    lending = {
        "cohort": "all",
        "within_pool": draw(mostly(WithinPool.LOWER_PRIORITY, WithinPool.LOWER_OR_NEWER_EQUAL_PRIORITY)),
        "reclaim_within_cohort": draw(mostly(ReclaimWithinCohort.ANY, ReclaimWithinCohort.LOWER_PRIORITY)),
    }
    moves = ConsolidationTerms(frozenset({STANDARD.name, SPARE.name}), lost_max=4 * MS_PER_HOUR, moves_max=3)
    sheltered = replace(STANDARD, minimum_runtime_ms=draw(mostly(0, 10 * MS_PER_MINUTE)))
    made = policy(
        *(pool(name, gpus=draw(mostly(16, 8, 12)), **lending) for name in POOLS),
        classes=(URGENT, sheltered, SPARE),
        limits=Limits(gpus_per_engineer=draw(mostly(None, None, 12)), unfunded_gpus_per_engineer=6),
    )
    return replace(made, consolidation=draw(st.sampled_from([ConsolidationTerms(), moves])))


def _running(draw: st.DrawFn, name: str, held: dict[NodeName, int]) -> Attempt | None:
    """Onto what is left of some nodes; with several pods it is mostly elastic, and may be giving some back."""
    gpus, wanted = draw(st.sampled_from([1, 2, 4])), draw(mostly(3, 1, 2, 6))
    pods = spread(wanted, draw(st.permutations(sorted(held))), lambda on: (8 - held[on]) // gpus)
    if not pods:
        return None
    made = ran(draw, name, pods, PodRequest(gpus, 1000, 1024), POOLS)
    if made.placement.pods == 1 or draw(mostly(False, True)):
        return made
    least = draw(mostly(1, made.placement.pods))
    elastic = replace(
        made, elastic=ElasticTerms(least, made.placement.pods + draw(st.integers(0, 3)), project=APOLLO)
    )
    return elastic.shrunk_to(least) if least < made.placement.pods and draw(mostly(False, True)) else elastic


def _booked(draw: st.DrawFn, name: str, names: list[NodeName]) -> Attempt:
    """Begun an hour ago, or to begin."""
    return booking(
        name,
        draw(st.sampled_from(names)),
        gpus=draw(st.sampled_from([2, 4, 8])),
        in_hours=draw(st.sampled_from([-1, -1, 0.5, 3])),
        hours=draw(st.sampled_from([3, 6])),
        project=draw(mostly(APOLLO, None)),
        team=draw(st.sampled_from(POOLS)),
    )


def _waiting(draw: st.DrawFn, name: str) -> Workload:
    pods = draw(st.integers(1, 3))
    made = workload(
        name,
        owner=draw(st.sampled_from(OWNERS)),
        team=draw(st.sampled_from(POOLS)),
        gpus=draw(st.sampled_from([1, 2, 4, 8])),
        pods=pods,
        age=draw(st.integers(0, 3)),
        hours=draw(st.sampled_from([0.25, 1, 5])),
        project=draw(mostly("apollo", None)),
        priority_class=draw(mostly(URGENT, STANDARD, SPARE)),
    )
    is_elastic = pods > 1 and draw(st.booleans())
    return replace(made, spec=replace(made.spec, min_pods=draw(st.integers(1, pods - 1)) if is_elastic else None))
