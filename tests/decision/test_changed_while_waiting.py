"""A workload that changes while it waits (its Job is created, say) keeps its place, and its line its lane."""

from dataclasses import replace

import pytest

from scheduler.decision.decide import decide, step
from scheduler.decision.snapshot import Changes
from scheduler.decision.state import State
from scheduler.domain.units import JobUid
from scheduler.domain.workloads import Workload
from tests.decision.builders import NOW, attempt, everything, node, nodes, snapshot, workload


def full(queued: list[Workload]) -> Changes:
    return everything(snapshot(nodes(node("a")), queued, attempts=[attempt("long", "a", gpus=8)]))


@pytest.mark.parametrize("alone", [True, False])
def test_a_waiting_workload_may_change_without_losing_its_place(alone: bool) -> None:
    first = workload("first", age=60)
    others = [] if alone else [workload("second", age=30), workload("third", owner="bob", age=10)]
    state = State()
    step(state, full([first, *others]), NOW)
    changed = replace(first, job_uid=JobUid("uid"), version=2)
    step(state, Changes(queued={first.id: changed}), NOW)
    plan = step(state, Changes(attempts={attempt("long", "a").id: None}), NOW)[1]
    assert plan.launches == decide(snapshot(nodes(node("a")), [changed, *others])).launches
