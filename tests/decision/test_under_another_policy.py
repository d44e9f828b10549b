"""What waits, runs and was promised under a policy that knows its classes or its pool no more, or knows others."""

from dataclasses import replace

from scheduler.decision.decide import decide, step
from scheduler.decision.snapshot import Changes, Reservation
from scheduler.domain.brakes import Brake, Stop, StopRate
from scheduler.domain.cluster import Placement
from scheduler.domain.policy import PriorityClass, Quota
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, Instant, NodeName, PerMille, PriorityClassName, TeamName, WorkloadId
from tests.decision.builders import (
    A100,
    H100,
    NOW,
    URGENT,
    attempt,
    balance,
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
from tests.decision.scattered import FRAGMENTS, moves, world
from tests.decision.test_elastic import grown, running


def test_a_priority_class_that_policy_does_not_have_is_told() -> None:
    gone = PriorityClass(PriorityClassName("gone"), 1)
    plan = decide(snapshot(nodes(node("n1")), [workload("w", priority_class=gone)]))

    assert reasons(plan) == {"w": Reason.NO_PRIORITY_CLASS}
    assert plan.verdicts[0].evidence == {"priority_class": "gone"}


def test_a_gpu_class_that_policy_does_not_have_could_be_placed_nowhere() -> None:
    by = replace(policy(), gpu_classes={A100: policy().gpu_classes[A100]})
    assert reasons(decide(snapshot(nodes(node("n1")), [workload("w")], by=by))) == {"w": Reason.NOT_OFFERED}


def test_a_team_without_a_pool_has_no_quota_and_gets_some_when_policy_gives_it_a_pool() -> None:
    state = cold(snapshot(nodes(node("n1")), [workload("w", team="grey")]))
    known = state.verdicts[WorkloadId("w")]
    assert (known.reason, known.evidence["pool"]) == (Reason.QUOTA, "none")
    explained = state.explain(WorkloadId("w"))
    assert explained is not None
    assert (explained.pool, explained.rank) == (None, 1)

    step(state, Changes(queued={WorkloadId("w"): None}), NOW)
    assert state.queue() == []
    again = Changes(policy=policy(pool("red"), pool("grey")), queued={WorkloadId("w"): workload("w", team="grey")})
    assert placements(step(state, again, NOW)[1]) == {"w": {"n1": 1}}


def test_a_preemptor_whose_pool_policy_took_away_starts_on_what_it_was_promised() -> None:
    """Its victims have ended for it and its hours are held: both would be for nothing."""
    held = Reservation(WorkloadId("u"), H100, Placement(((NodeName("n1"), 1),)), Instant(NOW + 60_000))
    plan = decide(snapshot(nodes(node("n1")), [workload("u", team="grey")], reservations=[held]))

    assert placements(plan) == {"u": {"n1": 1}}
    assert (plan.launches[0].is_reserved, plan.launches[0].pool) == (True, "none")


def test_what_runs_for_a_pool_that_is_gone_keeps_its_gpus_and_nobodys_quota() -> None:
    runs = attempt("r", "n1", gpus=4, team="grey", pool="grey")
    known = snapshot(nodes(node("n1")), [workload("w", gpus=4)], attempts=[runs], by=policy(pool("red", gpus=4)))
    state = cold(known)
    assert placements(step(state, Changes(), NOW)[1]) == {"w": {"n1": 1}}

    full = replace(workload("w", gpus=8), submitted_at=NOW)
    state = cold(replace(known, queued={full.id: full}, policy=policy(pool("red", gpus=8))))
    assert state.verdicts[full.id].reason is Reason.RESOURCES
    assert placements(step(state, Changes(attempts={runs.id: None}), Instant(NOW + MS_PER_HOUR))[1]) == {
        "w": {"n1": 1}
    }


def test_what_runs_for_a_team_that_has_no_pool_any_more_is_moved_for_nobody() -> None:
    """It was the cheapest to move; nobody could launch it again."""
    lost, *others = replace(FRAGMENTS[1], team=TeamName("grey")), FRAGMENTS[0], FRAGMENTS[2]
    plan = decide(world(lost, *others))
    assert moves(plan) == {"a": {"n2": 1}}


def test_what_runs_on_a_class_that_its_pool_has_no_quota_of_any_more_does_not_grow() -> None:
    """The pool's cohort would lend it as much as it likes, had it a quota of its own."""
    job = running("job", {"n": 2}, 1, 8, running_for=60)
    lends = pool("blue", gpus=64, cohort="all")
    for known, expected in ((H100, {"job": {"n": 8}}), (A100, {})):
        by = policy(pool("red", cohort="all", quotas={known: Quota(known, 8)}), lends)
        told = snapshot(nodes(node("n", 8)), attempts=[job], balances=[balance("ada", 100)], by=by)
        assert grown(decide(told)) == expected


def test_what_was_stopped_under_the_policy_before_counts_on_against_the_rate_of_the_next() -> None:
    full = [attempt(f"r{number}", "n1", gpus=4) for number in range(2)]
    stopped = (Stop(Brake.PREEMPT, Instant(NOW - 1000), 1),)
    told = snapshot(nodes(node("n1")), attempts=full, balances=[balance("ada")], stops=stopped)
    state = cold(told)

    by = replace(told.policy, preempt_rate=StopRate(PerMille(500)))
    urgent = workload("u", gpus=4, priority_class=URGENT)
    plan = step(state, Changes(policy=by, queued={urgent.id: urgent}), NOW)[1]

    assert (victims(plan), reasons(plan)) == ({}, {"u": Reason.STOP_RATE})
