"""A search for moves that found nothing is made again when something that it looked at is another, and not before."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.walking import consolidation, shifts
from scheduler.domain.units import AttemptId, Instant
from scheduler.domain.workloads import Attempt
from tests.decision.builders import NOW, attempt, cold, workload
from tests.decision.scattered import moves, saved, scattered, world
from tests.decision.test_bookings import booking
from tests.decision.worlds import EXAMPLES

MOVABLE = saved("a", "n1", 4)
CROWDED = (MOVABLE, attempt("b", "n2", gpus=4), attempt("c", "n2", gpus=1), attempt("d", "n3", gpus=5))
"""The gang would have the first node whole, but what is there has nowhere to go while `c` runs."""


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was searched for, one after the other."""
    made: list[object] = []
    search = shifts.cheapest

    def counted(gang: Any, candidates: Any) -> Any:
        made.append(gang.lane.key)
        return search(gang, candidates)

    monkeypatch.setattr(consolidation, "cheapest", counted)
    return made


def test_what_found_nothing_is_not_searched_for_again_while_nothing_changes(searches: list[object]) -> None:
    state = cold(world(*CROWDED))
    for seconds in (1, 2, 10):
        step(state, Changes(), Instant(NOW + seconds * 1000))
    assert len(searches) == 1

    step(state, Changes(), Instant(NOW + 60_000))
    assert len(searches) == 2


CHANGES: dict[str, Callable[[Snapshot], Changes]] = {
    "room": lambda _: Changes(attempts={AttemptId("c/1"): None}),
    "a checkpoint": lambda _: Changes(attempts={MOVABLE.id: replace(MOVABLE, checkpointed_at=Instant(NOW))}),
    "what it was launched from": lambda given: Changes(
        launched={name: replace(each, submitted_at=Instant(0)) for name, each in given.launched.items()}
    ),
    "who waits": lambda _: Changes(queued={(first := workload("first", gpus=7, age=9)).id: first}),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_it_is_searched_for_again_once_something_is_another(name: str, searches: list[object]) -> None:
    given = world(*CROWDED)
    state = cold(given)
    step(state, CHANGES[name](given), Instant(NOW + 1000))
    assert len(searches) == 2


def test_beside_bookings_whose_room_goes_by_the_time_it_is_searched_for_each_time(searches: list[object]) -> None:
    booked = booking(on="n3", gpus=3, in_hours=100, owner="eve", project=None)
    state = cold(world(*CROWDED, booked))
    step(state, Changes(), Instant(NOW + 1000))
    assert len(searches) == 2


def test_it_moves_as_soon_as_there_is_room() -> None:
    state = cold(world(*CROWDED))
    plan = step(state, Changes(attempts={AttemptId("c/1"): None}), Instant(NOW + 1000))[1]
    assert moves(plan) == {"a": {"n2": 1}}


@st.composite
def turns(draw: st.DrawFn, given: Snapshot) -> tuple[Changes, Snapshot]:
    """Some seconds go by, and at most one small thing happens."""
    running = sorted(given.attempts.values(), key=lambda each: each.id)
    changed: dict[AttemptId, Attempt | None] = {}
    if running:
        one = draw(st.sampled_from(running))
        what = draw(st.sampled_from(["nothing", "nothing", "checkpoint", "end"]))
        if what == "checkpoint":
            changed[one.id] = replace(one, checkpointed_at=given.now)
        elif what == "end":
            changed[one.id] = None
    known = {name: each for name, each in {**given.attempts, **changed}.items() if each is not None}
    now = Instant(given.now + draw(st.sampled_from([0, 1_000, 25_000, 400_000])))
    return Changes(attempts=changed), replace(given, attempts=known, now=now)


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_one_small_thing_after_the_other_has_the_plan_of_a_cold_decision(data: st.DataObject) -> None:
    given = data.draw(scattered(), label="first")
    state = cold(given)
    for _ in range(data.draw(st.integers(1, 5), label="turns")):
        changes, given = data.draw(turns(given), label="turn")
        assert _parts(step(state, changes, given.now)[1]) == _parts(decide(given))


def _parts(plan: Plan) -> tuple[object, object, object]:
    return plan.launches, plan.preemptions, plan.lapsed
