"""Who is short of hours hears of the limit first: in the cycle that reaches it, and as long as it is reached."""

import pytest

from scheduler.decision.decide import decide, step
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.domain.policy import Limits
from scheduler.domain.reasons import Reason
from scheduler.domain.units import EngineerId, TierName, WorkloadId
from scheduler.domain.workloads import Workload
from tests.decision.builders import (
    SPARE,
    attempt,
    balance,
    everything,
    node,
    nodes,
    policy,
    reasons,
    snapshot,
    tier,
    workload,
)
from tests.decision.crowds import first_in_first_out, nobody_is_held

LONG = workload("long", gpus=4, hours=100)
LONGER = workload("longer", gpus=4, hours=120)
SHORT = workload("short", gpus=4, age=100)


def ada_has(*queued: Workload, is_running: bool) -> Snapshot:
    """Four GPUs are what she may run, and forty hours are what she has."""
    return snapshot(
        nodes(node("n1")),
        queued,
        attempts=[attempt("r", "n1", owner="ada", gpus=4)] if is_running else [],
        by=first_in_first_out(limit=4),
        balances=[balance("ada", 40)],
    )


def after_it_ended(*queued: Workload) -> tuple[State, Plan]:
    """What ada ran ends while those wait at her limit."""
    known = ada_has(*queued, is_running=True)
    state, plan = step(State(), everything(known), known.now)
    assert set(reasons(plan).values()) == {Reason.ENGINEER_GPU_LIMIT}
    return step(state, Changes(attempts=dict.fromkeys(known.attempts)), known.now)


@pytest.mark.parametrize(("everybodys", "of_their_tier"), [(4, 6), (6, 4), (4, None), (None, 4)])
def test_of_the_limit_for_everybody_and_that_of_a_tier_the_tighter_holds(
    everybodys: int | None, of_their_tier: int | None
) -> None:
    by = policy(limits=Limits(gpus_per_engineer=everybodys), tiers=[tier("t", gpus_max=of_their_tier)])
    tiers = {EngineerId("ada"): TierName("t")}
    for gpus, told in ((4, Reason.LAUNCHING), (5, Reason.ENGINEER_GPU_LIMIT)):
        world = snapshot(nodes(node("n1")), [workload("w", gpus=gpus)], by=by, tiers=tiers)
        assert reasons(decide(world)) == {"w": told}


def test_whose_owner_a_cycle_brings_to_the_limit_is_told_of_it_in_that_cycle() -> None:
    assert reasons(decide(ada_has(SHORT, LONG, is_running=False))) == {
        "short": Reason.LAUNCHING,
        "long": Reason.ENGINEER_GPU_LIMIT,
    }


@pytest.mark.parametrize("is_each_judged", [False, True])
def test_whose_owner_ends_one_thing_and_starts_another_hears_nothing_of_the_hours_between(
    is_each_judged: bool,
) -> None:
    if is_each_judged:
        with nobody_is_held():
            state, plan = after_it_ended(SHORT, LONG, LONGER)
    else:
        state, plan = after_it_ended(SHORT, LONG, LONGER)

    assert reasons(plan) == {"short": Reason.LAUNCHING}
    told = state.explain(WorkloadId("long"))
    assert told is not None
    assert told.verdict.reason is Reason.ENGINEER_GPU_LIMIT
    assert told.verdict.evidence == {"used": 4, "limit": 4, "needed": 4}


def test_whose_owner_ends_one_thing_and_starts_nothing_is_told_of_the_hours() -> None:
    state, plan = after_it_ended(LONG)

    assert reasons(plan) == {"long": Reason.ALLOWANCE_SHORT}
    told = state.explain(WorkloadId("long"))
    assert told is not None
    assert told.verdict.evidence["needed_hours"] == "400.0"


def test_whose_owner_s_start_is_not_recorded_is_looked_at_again() -> None:
    state, _ = after_it_ended(SHORT, LONG)
    plan = step(state, Changes(queued={SHORT.id: None}), state.index.now)[1]

    assert reasons(plan) == {"long": Reason.ALLOWANCE_SHORT}


def test_when_hours_come_who_was_short_of_them_beneath_the_limit_starts() -> None:
    state, _ = after_it_ended(LONG)
    plan = step(
        state, Changes(balances={each.allowance.id: each for each in [balance("ada", 1000)]}), state.index.now
    )[1]

    assert reasons(plan) == {"long": Reason.LAUNCHING}


def test_what_may_run_without_hours_does_so_once_the_limit_allows_it() -> None:
    _, plan = after_it_ended(workload("long", gpus=4, hours=100, priority_class=SPARE))

    assert [(launch.workload_id, launch.is_funded) for launch in plan.launches] == [("long", False)]


def test_who_was_told_of_the_hours_hears_of_a_limit_that_is_tighter_since() -> None:
    by = policy(limits=Limits(gpus_per_engineer=8), tiers=[tier("small", gpus_max=2)])
    known = snapshot(nodes(node("n1")), [LONG], by=by, balances=[balance("ada", 40)])
    state, plan = step(State(), everything(known), known.now)
    assert reasons(plan) == {"long": Reason.ALLOWANCE_SHORT}

    plan = step(state, Changes(tiers={EngineerId("ada"): TierName("small")}), known.now)[1]
    assert reasons(plan) == {"long": Reason.ENGINEER_GPU_LIMIT}


def test_a_lane_of_what_nobody_pays_for_is_forgotten_with_the_last_that_waited_there() -> None:
    waits = workload("w", gpus=8, priority_class=SPARE)
    known = snapshot(
        nodes(node("n1")), [waits], attempts=[attempt("r", "n1", owner="eve", gpus=4)], balances=[balance("ada", 0)]
    )
    state = step(State(), everything(known), known.now)[0]
    assert [lane.key.is_funded for lane in state.index.lanes.all()] == [False]

    step(state, Changes(queued={waits.id: None}), known.now)
    assert list(state.index.lanes.all()) == []
