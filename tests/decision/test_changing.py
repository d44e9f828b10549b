"""What becomes of plans while policy, pay, bookings, nodes and the clock change: the worlds of `manifold.py` and
`changing.py`."""

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from tests.decision.applying import recorded
from tests.decision.builders import cold
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
