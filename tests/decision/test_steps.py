"""`step` over any split of the changes says what a cold `decide` says."""

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import Explanation, State
from scheduler.domain.units import Instant, WorkloadId
from tests.decision.builders import A100, NOW, attempt, cold, node, nodes, placements, snapshot, workload
from tests.decision.changing import changed
from tests.decision.lively import lively
from tests.decision.manifold import manifold
from tests.decision.mingled import mingled
from tests.decision.stretched import stretched
from tests.decision.worlds import EXAMPLES, snapshots, splits


def explanations(state: State, snapshot: Snapshot) -> dict[WorkloadId, Explanation | None]:
    """Of every workload, with the verdict's code alone: its evidence is as of when the code changed."""
    told = {}
    for workload_id in snapshot.queued:
        known = state.explain(workload_id)
        told[workload_id] = replace(known, verdict=replace(known.verdict, evidence={})) if known is not None else None
    return told


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_steps_over_any_split_of_the_changes_end_where_a_cold_decision_does(data: st.DataObject) -> None:
    worlds = data.draw(st.sampled_from([snapshots, lively, stretched, mingled, manifold]), label="worlds")()
    first = data.draw(worlds, label="first")
    last = replace(
        data.draw(worlds, label="last"),
        now=Instant(first.now + data.draw(st.sampled_from([0, 45_000, 700_000]))),
    )
    state = State()
    changes = data.draw(splits(first, last), label="changes")
    for each in changes[:-1]:
        step(state, each, first.now)
    plan = step(state, changes[-1], last.now)[1]

    expected = decide(last)
    assert plan.launches == expected.launches
    assert plan.preemptions == expected.preemptions
    assert plan.growths == expected.growths
    assert plan.lapsed == expected.lapsed
    assert plan.ageing == expected.ageing
    told = {workload_id: verdict.reason for workload_id, verdict in state.verdicts.items()}
    assert told == {verdict.workload_id: verdict.reason for verdict in expected.verdicts}
    assert explanations(state, last) == explanations(cold(last), last)
    assert state.queue() == cold(last).queue()


@given(snapshots())
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_is_not_fed_back_is_planned_again(snapshot: Snapshot) -> None:
    state = cold(snapshot)
    once = step(state, Changes(), snapshot.now)[1]
    twice = step(state, Changes(), snapshot.now)[1]

    expected = decide(snapshot)
    assert (once.launches, once.preemptions) == (expected.launches, expected.preemptions)
    assert twice == once
    assert once.verdicts == ()


@given(st.one_of(snapshots(), changed()), st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_the_plan_does_not_depend_on_the_order_of_the_inputs(snapshot: Snapshot, shuffler: Random) -> None:
    shuffled: dict[str, Any] = {}
    for name in ("nodes", "queued", "attempts", "balances", "reservations"):
        items = list(getattr(snapshot, name).items())
        shuffler.shuffle(items)
        shuffled[name] = dict(items)

    assert decide(replace(snapshot, **shuffled)) == decide(snapshot)


@given(snapshots(), snapshots())
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_new_policy_has_everything_judged_anew(first: Snapshot, second: Snapshot) -> None:
    state = cold(first)
    plan = step(state, Changes(policy=second.policy), first.now)[1]

    expected = decide(replace(first, policy=second.policy))
    assert (plan.launches, plan.preemptions) == (expected.launches, expected.preemptions)
    told = {workload_id: verdict.reason for workload_id, verdict in state.verdicts.items()}
    assert told == {verdict.workload_id: verdict.reason for verdict in expected.verdicts}


@given(snapshots(), st.sampled_from([0, 60_000, 3_600_000]))
@settings(max_examples=EXAMPLES, deadline=None)
def test_checkpoints_alone_are_taken_as_a_cold_decision_takes_them(snapshot: Snapshot, ago_ms: int) -> None:
    state = cold(snapshot)
    attempts = {
        attempt.id: replace(attempt, checkpointed_at=Instant(max(0, snapshot.now - ago_ms)))
        for attempt in snapshot.attempts.values()
    }
    plan = step(state, Changes(attempts=attempts), snapshot.now)[1]
    expected = decide(replace(snapshot, attempts=attempts))
    assert (plan.launches, plan.preemptions) == (expected.launches, expected.preemptions)


def test_who_waits_for_a_node_of_another_class_by_now_has_what_ends_there() -> None:
    """Whatever was asked for when it was launched."""
    ends = attempt("ends", "n1", gpus=8)
    waits = workload("waits", gpus=8, classes=(A100,))
    state = cold(snapshot(nodes(node("n1", gpu_class=A100)), [waits], attempts=[ends]))

    plan = step(state, Changes(attempts={ends.id: None}), NOW)[1]

    assert placements(plan) == {"waits": {"n1": 1}}
