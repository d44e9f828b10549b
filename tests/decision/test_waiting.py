"""Why work waits: reasons that no capacity would cure, each with its evidence."""

from dataclasses import replace

from scheduler.decision.decide import decide, step
from scheduler.decision.snapshot import Changes
from scheduler.decision.state import State
from scheduler.domain.brakes import Brake, Pause
from scheduler.domain.policy import Limits
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.units import Instant, WorkloadId
from tests.decision.builders import (
    A100,
    H100,
    NOW,
    URGENT,
    attempt,
    cold,
    everything,
    node,
    nodes,
    policy,
    pool,
    reasons,
    snapshot,
    workload,
)


def test_a_team_at_its_limit_waits_for_its_own_work() -> None:
    rules = policy(pool("red", gpus=64), limits=Limits(gpus_per_team=6))
    world = snapshot(nodes(node("n1", 8)), [workload("w", gpus=2)], attempts=[attempt("r", "n1", gpus=5)], by=rules)

    plan = decide(world)

    assert reasons(plan) == {"w": Reason.TEAM_GPU_LIMIT}
    said = plan.verdicts[0]
    assert sentence(said.reason, said.evidence) == (
        "Waiting: the team runs 5 of the 6 GPUs allowed at once; this needs 2."
    )


def test_what_is_free_and_scattered_is_said_to_have_no_room_for_all_of_a_gang() -> None:
    three, used = nodes(*(node(f"n{number}") for number in range(3))), [attempt("a", "n0"), attempt("b", "n1")]
    (said,) = decide(snapshot(three, [workload("gang", gpus=8, pods=2)], attempts=used)).verdicts
    assert sentence(said.reason, said.evidence) == (
        "Waiting: 2 pods of 8 × h100 asked, 22 GPUs free where it could go: room for 1 pod."
    )


def test_a_class_that_stands_twice_in_old_books_counts_once() -> None:
    """It is refused today. Its line stood once in the lane of both, and was taken out twice."""
    twice = [workload(name, gpus=8, classes=(H100, H100)) for name in ("v", "w")]
    world = snapshot(nodes(node("n1", 8)), twice, attempts=[attempt("a", "n1")])
    state = State()
    first = step(state, everything(world), world.now)[1]
    assert set(reasons(first).values()) == {Reason.RESOURCES, Reason.PRIORITY}

    gone = step(state, Changes(queued={WorkloadId("v"): None}), world.now)[1]
    assert reasons(gone) == {"w": Reason.RESOURCES}


def test_work_whose_gpu_class_a_policy_drops_is_told_that_nothing_offers_it() -> None:
    first = snapshot(nodes(node("n1", 8)), [workload("w", gpus=16)])
    state = cold(first)
    kept = {name: each for name, each in first.policy.gpu_classes.items() if name != H100}
    dropped = replace(first.policy, gpu_classes=kept, hash="1")
    unsorted = {name: replace(each, gpu_class=None) for name, each in first.nodes.items()}

    step(state, Changes(policy=dropped), first.now)
    again = {WorkloadId("w"): workload("w", gpus=16, age=1)}
    step(
        state, Changes(nodes=unsorted, queued=again), first.now
    )  # the cluster tells a moment later what they are now

    assert {name: verdict.reason for name, verdict in state.verdicts.items()} == {"w": Reason.NOT_OFFERED}


def test_work_waits_for_its_begin_time_and_starts_then() -> None:
    early = replace(workload("w"), not_before=Instant(NOW + 60_000))

    assert reasons(decide(snapshot(nodes(node("n1")), [early]))) == {"w": Reason.BEGIN_TIME}
    assert reasons(decide(replace(snapshot(nodes(node("n1")), [early]), now=Instant(NOW + 60_000)))) == {
        "w": Reason.LAUNCHING
    }


def test_nothing_is_launched_while_launching_is_paused_and_who_paused_it_is_said() -> None:
    pauses = (Pause(Brake.LAUNCH, "greta", "maintenance", NOW),)

    plan = decide(replace(snapshot(nodes(node("n1")), [workload("w")]), pauses=pauses))

    assert plan.launches == ()
    assert reasons(plan) == {"w": Reason.LAUNCH_PAUSED}
    said = plan.verdicts[0]
    assert sentence(said.reason, said.evidence) == "Launching is paused by greta: maintenance."


def test_whose_best_liked_class_has_no_more_than_it_needs_in_service_waits_for_that() -> None:
    known = nodes(node("h1"), node("h2", accepts_work=False), node("a1", gpu_class=A100))
    full = [attempt("r1", "h1", gpus=8), attempt("r2", "a1", gpus=8, gpu_class=A100)]
    wish = workload("w", gpus=8, classes=(H100, A100))

    for gpu_class, of_nodes in (
        (H100, known),
        (A100, {**known, **nodes(node("h1", 7), node("h2", accepts_work=False))}),
    ):
        verdict = decide(snapshot(of_nodes, [wish], attempts=full)).verdicts[0]
        assert (verdict.reason, verdict.evidence["gpu_class"]) == (Reason.RESOURCES, gpu_class)


def test_who_waits_is_told_nothing_more_when_what_ends_makes_no_room_and_is_to_nobodys_gain() -> None:
    rules = policy(pool("red", gpus=64, cohort="all"), pool("blue", gpus=64, cohort="all"))
    running = [
        attempt(name, "n1", gpus=gpus, priority_class=URGENT) for name, gpus in (("r1", 4), ("r2", 3), ("r3", 1))
    ]
    waiting = [workload(team, team=team, owner=team, gpus=8) for team in ("red", "blue")]
    state = cold(snapshot(nodes(node("n1", 8)), waiting, attempts=running, by=rules))
    step(state, Changes(), NOW)

    plan = step(state, Changes(attempts={running[1].id: None}), NOW)[1]

    assert plan.is_empty
    assert {name: verdict.reason for name, verdict in state.verdicts.items()} == {
        "red": Reason.RESOURCES,
        "blue": Reason.RESOURCES,
    }
