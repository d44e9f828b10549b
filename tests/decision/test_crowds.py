"""Who stands in a crowd is called out of it when their turn may come, and told what they would have been told at it."""

from dataclasses import replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import step
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.domain.brakes import Brake, Pause
from scheduler.domain.policy import Limits, Order, Project
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_MINUTE, Instant, PerMille, ProjectName, TeamName, WorkloadId
from scheduler.domain.workloads import Workload
from tests.decision.applying import recorded
from tests.decision.builders import (
    A100,
    H100,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    balance,
    node,
    nodes,
    policy,
    pool,
    reasons,
    snapshot,
    tier,
    workload,
)
from tests.decision.crowds import at_the_limit, changes_between, everything, nobody_is_held, seen
from tests.decision.worlds import EXAMPLES, fitting, mostly

PAUSE = Pause(Brake.LAUNCH, "somebody", "maintenance", Instant(0))


@st.composite
def at_limits(draw: st.DrawFn) -> Snapshot:
    """Ada runs as much as she may and has much in line, beside Bob, who has less; room and hours are plenty or not."""
    red = replace(pool("red", gpus=draw(mostly(64, 16))), order=draw(mostly(Order.PACE, Order.FIFO)))
    projects = [Project(ProjectName(name), TeamName("red"), PerMille(1000)) for name in ("apollo", "beacon")]
    if draw(mostly(False, True)):
        projects[1] = replace(projects[1], importance=PerMille(2000))
    known = nodes(
        *(node(f"n{number}", 8) for number in range(draw(st.sampled_from([3, 1])))),
        *(node(f"o{number}", 8, gpu_class=A100) for number in range(draw(st.sampled_from([1, 2])))),
    )
    running = [attempt(f"r{number}", "n0", owner="ada", team="red", pool="red", gpus=2) for number in range(2)]
    for number in range(draw(st.integers(0, 2))):
        on, gpu_class = draw(st.sampled_from([("n0", H100), ("o0", A100)]))
        running.append(
            attempt(
                f"e{number}",
                on,
                owner="eve",
                team="red",
                pool="red",
                gpus=4,
                gpu_class=gpu_class,
                priority_class=URGENT,
            )
        )
    return snapshot(
        known,
        [draw(coming(number)) for number in range(draw(st.integers(6, 14)))],
        attempts=fitting(running, known),
        by=policy(
            red,
            limits=Limits(gpus_per_engineer=draw(st.sampled_from([8, 4]))),
            projects={each.name: each for each in projects},
        ),
        balances=[balance("ada", draw(st.sampled_from([1000, 9, 20, 40]))), balance("bob", draw(mostly(1000, 9)))],
    )


@st.composite
def coming(draw: st.DrawFn, number: int) -> Workload:
    return workload(
        f"w{number:02}",
        owner=draw(mostly("ada", "bob")),
        team="red",
        gpus=draw(st.sampled_from([1, 2, 4])),
        hours=draw(st.sampled_from([1, 2, 3, 6])),
        age=draw(st.integers(0, 60)) * 60,
        priority_class=draw(mostly(STANDARD, URGENT, SPARE)),
        classes=draw(mostly((H100,), (A100,), (A100, H100))),
        project=draw(mostly("apollo", "beacon")),
    )


@given(st.data())
@settings(max_examples=4 * EXAMPLES, deadline=None)
def test_what_is_planned_and_told_is_the_same_as_when_nobody_stands_in_a_crowd(data: st.DataObject) -> None:
    known = data.draw(at_limits(), label="world")
    short, full, changes = State(), State(), everything(known)
    for number in range(8):
        with seen() as happened:
            plan = step(short, changes, known.now)[1]
        for each in happened:
            event(each)
        if "held in a crowd" in happened and "served anew" in happened:
            event("served anew beside a crowd")
        with nobody_is_held():
            expected = step(full, changes, known.now)[1]
        assert plan == expected
        assert short.verdicts == full.verdicts
        assert [short.explain(each) for each in known.queued] == [full.explain(each) for each in known.queued]

        following = recorded(known, plan) if data.draw(mostly(True, False), label="is recorded") else known
        gone = (
            data.draw(st.sets(st.sampled_from(sorted(following.attempts)), max_size=2)) if following.attempts else ()
        )
        if not number or data.draw(st.booleans(), label="nothing ends"):
            gone = ()
        queued = dict(following.queued)
        if data.draw(mostly(False, True), label="somebody comes"):
            arrived = data.draw(coming(20 + number))
            queued[arrived.id] = replace(arrived, submitted_at=known.now)
        if queued and data.draw(mostly(False, False, True), label="somebody goes"):
            del queued[data.draw(st.sampled_from(sorted(queued)))]
        cluster = dict(following.nodes)
        if data.draw(mostly(False, False, False, True), label="a node comes"):
            cluster |= nodes(node(f"x{number}", 8))
        following = replace(
            following,
            now=Instant(known.now + data.draw(mostly(MS_PER_MINUTE, 20 * MS_PER_MINUTE))),
            attempts={key: each for key, each in following.attempts.items() if key not in gone},
            queued=queued,
            nodes=cluster,
            pauses=(PAUSE,) if data.draw(mostly(False, False, False, True), label="launches are paused") else (),
        )
        changes = replace(changes_between(known, following), pauses=following.pauses)
        if cluster != known.nodes:
            changes = replace(changes, nodes={key: cluster[key] for key in cluster.keys() - known.nodes.keys()})
        known = following


def gathered(known: Snapshot) -> tuple[State, Snapshot]:
    """After cycles that recorded what they planned, until those that their limit keeps from starting stand in a crowd."""
    state, changes = State(), everything(known)
    for _ in range(2):
        following = recorded(known, step(state, changes, known.now)[1])
        known, changes = following, changes_between(known, following)
    step(state, changes, known.now)
    assert state.index.lines.crowds
    return state, known


def test_of_a_crowd_who_has_no_room_any_more_is_called_out_to_wait_for_it() -> None:
    queued = [workload(f"w{number}", gpus=4, hours=number + 1, age=100 - number) for number in range(4)]
    elsewhere = workload("elsewhere", gpus=4, classes=(A100,))
    known = at_the_limit(*queued, elsewhere)
    state, known = gathered(replace(known, nodes={**known.nodes, **nodes(node("o1", gpu_class=A100))}))
    assert set(reasons_of(state).values()) == {Reason.ENGINEER_GPU_LIMIT}

    in_the_way = attempt("r", "o1", gpus=8, gpu_class=A100, priority_class=URGENT)
    ended = next(iter(known.attempts))
    plan = step(state, Changes(attempts={ended: None, in_the_way.id: in_the_way}), known.now)[1]

    assert reasons(plan) == {"w2": Reason.LAUNCHING, "elsewhere": Reason.RESOURCES}


def test_of_a_crowd_all_are_let_in_when_some_rounds_have_shown_nobody_who_starts() -> None:
    """The node is full once Bob has started, and each of what Ada has in line would stand in a lane of its own."""
    queued = [workload(f"a{number}", gpus=2, age=800 - number, cpu=number + 1) for number in range(12)]
    known = snapshot(
        nodes(node("n1")),
        queued,
        by=policy(pool("red", gpus=64, order=Order.FIFO), tiers=[tier("small", gpus_max=4)]),
        balances=[balance("ada"), balance("bob")],
        tiers={"ada": "small"},
    )
    state, known = gathered(known)

    gang = workload("gang", owner="bob", gpus=8, age=900)
    with seen() as happened:
        plan = step(state, Changes(attempts=dict.fromkeys(known.attempts), queued={gang.id: gang}), known.now)[1]

    assert reasons(plan)["gang"] is Reason.LAUNCHING
    assert happened == ["held in a crowd"] + ["served anew"] * 3
    assert not state.index.lines.crowds


def test_a_crowd_whose_limit_allows_somebody_is_judged_as_a_whole_while_launches_are_paused() -> None:
    queued = [workload(f"w{number}", gpus=4, hours=number + 1, age=100 - number) for number in range(4)]
    state, known = gathered(at_the_limit(*queued))

    ended = next(iter(known.attempts))
    plan = step(state, Changes(attempts={ended: None}, pauses=(PAUSE,)), known.now)[1]

    assert reasons(plan) == {"w2": Reason.LAUNCH_PAUSED, "w3": Reason.LAUNCH_PAUSED}


def test_who_goes_has_left_its_crowd_and_whoever_stood_behind_it_has_its_turn() -> None:
    alike = [workload(f"alike{number}", gpus=4, hours=9, age=80 - number) for number in range(2)]
    queued = [workload(f"w{number}", gpus=4, hours=number + 1, age=100 - number) for number in range(3)]
    state, known = gathered(at_the_limit(*queued, *alike))

    step(state, Changes(queued={WorkloadId("w2"): None, WorkloadId("alike0"): None}), known.now)
    ended = next(iter(known.attempts))
    plan = step(state, Changes(attempts={ended: None}), known.now)[1]

    assert reasons(plan) == {"alike1": Reason.LAUNCHING}


def test_of_a_crowd_those_hear_of_the_room_whose_lane_others_have_closed_before_their_turn() -> None:
    queued = [workload(f"a{number}", gpus=4, hours=number + 1, age=500 - 100 * number) for number in range(4)]
    known = snapshot(
        nodes(node("n1")),
        queued,
        by=policy(pool("red", gpus=64, order=Order.FIFO), limits=Limits(gpus_per_engineer=4)),
        balances=[balance(owner) for owner in ("ada", "bob", "cyd")],
    )
    state, known = gathered(known)

    others = [workload("b", gpus=4, age=390, owner="bob"), workload("c", gpus=4, age=380, owner="cyd")]
    changes = Changes(attempts=dict.fromkeys(known.attempts), queued={each.id: each for each in others})
    plan = step(state, changes, known.now)[1]

    assert reasons(plan) == {
        "a1": Reason.LAUNCHING,
        "b": Reason.LAUNCHING,
        "c": Reason.RESOURCES,
        "a2": Reason.PRIORITY,
        "a3": Reason.PRIORITY,
    }


def test_of_a_crowd_those_hear_of_the_hours_whom_their_limit_allows_and_who_cannot_pay() -> None:
    queued = [workload(f"w{number}", gpus=4, hours=number + 1, age=100 - number) for number in range(4)]
    state, known = gathered(at_the_limit(*queued))

    spent = balance("ada", 1)
    ended = next(iter(known.attempts))
    changes = Changes(attempts={ended: None}, balances={spent.allowance.id: spent})
    plan = step(state, changes, known.now)[1]

    assert reasons(plan) == {"w2": Reason.ALLOWANCE_SHORT, "w3": Reason.ALLOWANCE_SHORT}


def reasons_of(state: State) -> dict[str, Reason]:
    return {workload_id: verdict.reason for workload_id, verdict in state.verdicts.items()}
