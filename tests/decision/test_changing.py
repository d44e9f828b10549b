"""What becomes of plans while policy, pay, bookings, nodes and the clock change: the worlds of `manifold.py` and
`changing.py`."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.snapshot import Changes
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR
from tests.decision.applying import recorded
from tests.decision.builders import (
    NOW,
    URGENT,
    attempt,
    balance,
    cold,
    node,
    nodes,
    policy,
    pool,
    snapshot,
    workload,
)
from tests.decision.changing import a_cycle_on, told_between
from tests.decision.manifold import manifold
from tests.decision.test_steps import explanations
from tests.decision.worlds import EXAMPLES

CYCLES = 5


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_steps_through_any_change_say_what_cold_decisions_do(data: st.DataObject) -> None:
    world = data.draw(manifold(), label="world")
    state, plan = cold(world), decide(world)
    for number in range(CYCLES):
        after = recorded(world, plan) if data.draw(st.booleans(), label="recorded") else world
        after = data.draw(a_cycle_on(after, number), label="later")
        plan = step(state, told_between(world, after), after.now)[1]
        world = after

        expected = decide(world)
        assert plan.launches == expected.launches
        assert plan.preemptions == expected.preemptions
        assert plan.growths == expected.growths
        assert plan.lapsed == expected.lapsed
        assert plan.ageing == expected.ageing
        assert plan.warnings == expected.warnings
        told = {workload_id: verdict.reason for workload_id, verdict in state.verdicts.items()}
        assert told == {verdict.workload_id: verdict.reason for verdict in expected.verdicts}
        assert explanations(state, world) == explanations(cold(world), world)
        assert state.queue() == cold(world).queue()
        assert state.index.wakes_at() <= cold(world).index.wakes_at(), "it may wake for nothing, never too late"


def test_under_a_new_policy_who_is_first_again_is_told_so_anew() -> None:
    """Meanwhile room was kept from it for somebody ahead, and it stood in no queue for any."""
    rules = policy(pool("red"), pool("blue"), pool("green", gpus=16))
    waiting = [
        workload("big", owner="red", gpus=8, priority_class=URGENT),
        workload("w", team="blue", gpus=4, hours=5),
    ]
    full, little = attempt("full", "n1", gpus=8, team="green", pool="green"), attempt("r", "n1", gpus=2, pool="green")
    more = attempt("more", "n1", gpus=4, pool="green", running_for=60)
    owners = [balance("red"), balance("ada")]
    state = cold(snapshot(nodes(node("n1")), waiting, by=rules, attempts=[full], balances=owners))
    assert state.verdicts[waiting[1].id].reason is Reason.RESOURCES

    new = replace(rules, name="new")
    little = replace(little, time_limit_ms=2 * MS_PER_HOUR)
    step(state, Changes(policy=new, attempts={full.id: None, little.id: little}), NOW)
    assert state.verdicts[waiting[1].id].reason is Reason.PRIORITY

    step(state, Changes(attempts={more.id: more}), NOW)
    assert state.verdicts[waiting[1].id].reason is Reason.RESOURCES
