"""What only ill nodes keep waiting: once they are well it waits for whoever runs there by then, and for nobody else."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.policy import WithinPool
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, Instant, NodeName
from scheduler.domain.workloads import Workload
from tests.decision.applying import recorded
from tests.decision.builders import (
    SPARE,
    STANDARD,
    balance,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    snapshot,
    workload,
)
from tests.decision.worlds import EXAMPLES

GPUS = 4
LONGEST_MS = 4 * MS_PER_HOUR
ROUND_MS = MS_PER_HOUR // 2
AGED = 8 * MS_PER_DAY // 1000

pieces = st.lists(st.tuples(st.integers(0, GPUS), st.integers(0, GPUS), st.booleans()), min_size=1, max_size=12)
"""Round by round, the GPUs of each node that are well, and whether the second takes work."""
waves = st.lists(
    st.lists(st.tuples(st.sampled_from([1, 2, 4]), st.sampled_from([0.5, 1, 4])), max_size=4), min_size=1, max_size=4
)


@given(pieces, waves, st.booleans())
@settings(max_examples=EXAMPLES, deadline=None)
def test_however_nodes_came_back_the_first_in_line_starts_when_whoever_runs_there_has_ended(
    came: list[tuple[int, int, bool]], stream: list[list[tuple[int, float]]], is_aged: bool
) -> None:
    """A gang of all there is, ahead of a stream of smaller work by its class or by its age."""
    rules = policy(pool("red", gpus=64, within_pool=WithinPool.NEVER))
    age, own, others = (AGED, SPARE, STANDARD) if is_aged else (60, STANDARD, SPARE)
    gang = workload("gang", pods=2, gpus=GPUS, age=age, priority_class=own, hours=1)
    world = snapshot({}, [gang], balances=[balance("ada", 10**6), balance("bob", 10**6)], by=rules)
    number = 0
    for first, second, accepts in came:
        well = {each.name: each for each in (node("n1", gpus=first), node("n2", gpus=second, accepts_work=accepts))}
        world = _a_round_later(replace(world, nodes=well), stream, number, others)
        number += 1
    world = replace(world, nodes=nodes(node("n1", gpus=GPUS), node("n2", gpus=GPUS)))
    since = world.now
    while gang.id in world.queued:
        assert world.now - since <= LONGEST_MS + MS_PER_MINUTE + ROUND_MS, "smaller work goes on before it"
        world = _a_round_later(world, stream, number, others)
        number += 1


def _a_round_later(world: Snapshot, stream: list[list[tuple[int, float]]], number: int, others: object) -> Snapshot:
    asked = stream[number % len(stream)]
    fresh = [_arrival(f"w{number}-{i}", world.now, each, others) for i, each in enumerate(asked)]
    world = replace(world, queued={**world.queued, **{each.id: each for each in fresh}})
    world = recorded(world, decide(world))
    now = Instant(world.now + ROUND_MS)
    live = {
        each.id: each
        for each in world.attempts.values()
        if each.launched_at + each.time_limit_ms + each.grace_seconds * 1000 > now
    }
    return replace(world, attempts=live, now=now)


def _arrival(name: str, now: Instant, asked: tuple[int, float], priority_class: object) -> Workload:
    gpus, hours = asked
    made = workload(name, gpus=gpus, hours=hours, priority_class=priority_class, owner="bob")  # type: ignore[arg-type]
    return replace(made, submitted_at=now)


def test_no_gpu_stands_idle_for_a_gang_that_ill_nodes_keep_waiting_and_all_are_kept_once_they_are_well() -> None:
    gang = workload("gang", pods=2, gpus=8, age=60)
    small = workload("small", gpus=8, hours=4)
    well, ill = node("n1"), node("n2", accepts_work=False)

    plan = decide(snapshot(nodes(well, ill), [gang, small]))
    assert placements(plan) == {"small": {"n1": 1}}

    world = recorded(snapshot(nodes(well, ill), [gang, small]), plan)
    back = {**world.nodes, NodeName("n2"): node("n2")}
    late = workload("late", gpus=1, hours=9)
    world = replace(world, nodes=back, queued={**world.queued, late.id: late})
    assert reasons(decide(world)) == {"gang": Reason.RESOURCES, "late": Reason.PRIORITY}
