"""Bookings: GPUs that are kept for somebody from an instant on, and who may start on them."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.units import MS_PER_HOUR, Instant, ProjectName, WorkloadId
from scheduler.domain.workloads import Attempt, AttemptState, Workload
from tests.decision.applying import recorded
from tests.decision.builders import (
    NOW,
    URGENT,
    attempt,
    balance,
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

APOLLO = ProjectName("apollo")


def booking(
    name: str = "bk",
    on: str = "n1",
    *,
    gpus: int = 8,
    in_hours: float = 2,
    hours: float = 4,
    project: ProjectName | None = APOLLO,
    owner: str = "ada",
    team: str = "red",
) -> Attempt:
    """GPUs of a node, booked from `in_hours` on for so many hours."""
    made = attempt(name, on, owner=owner, team=team, pool=team, gpus=gpus, running_for=None)
    return replace(
        made,
        state=AttemptState.LAUNCHING,
        launched_at=Instant(NOW + int(in_hours * MS_PER_HOUR)),
        time_limit_ms=int(hours * MS_PER_HOUR),
        grace_seconds=0,
        booking_id=WorkloadId(name),
        booked_for=project,
    )


STARTS_WITHIN = 330 / 3600
"""Hours in which a preemptor's victims have ended: 30 seconds of grace, and five minutes for the cluster to see it."""


def gone_in(name: str, hours: float, **fields: object) -> Workload:
    """A workload that has ended by then, its grace of 30 seconds too."""
    return workload(name, hours=hours - 30 / 3600, **fields)  # type: ignore[arg-type]  # by name


def test_work_that_would_still_run_by_then_leaves_a_booking_its_gpus() -> None:
    world = snapshot(nodes(node("n1")), [workload("long", hours=3, team="blue"), gone_in("short", 2, team="blue")])
    world = replace(world, policy=policy(pool("red"), pool("blue")), attempts={b.id: b for b in [booking()]})

    plan = decide(world)

    assert reasons(plan) == {"long": Reason.BOOKED, "short": Reason.LAUNCHING}
    said = next(verdict for verdict in plan.verdicts if verdict.workload_id == "long")
    assert sentence(said.reason, said.evidence).startswith(
        "Waiting: h100 that it could start on are booked from 2026-"
    )


def test_one_millisecond_too_long_is_too_long() -> None:
    fits = gone_in("w", 2)
    longer = replace(fits, spec=replace(fits.spec, time_limit_ms=fits.spec.time_limit_ms + 1))

    assert reasons(decide(snapshot(nodes(node("n1")), [fits], attempts=[booking()]))) == {"w": Reason.LAUNCHING}
    assert reasons(decide(snapshot(nodes(node("n1")), [longer], attempts=[booking()]))) == {"w": Reason.BOOKED}


def test_what_is_beside_a_booking_is_free_for_everybody() -> None:
    world = snapshot(nodes(node("n1")), [workload("a", hours=9, gpus=2), workload("b", hours=9, gpus=1)])

    plan = decide(replace(world, attempts={b.id: b for b in [booking(gpus=6)]}))

    assert reasons(plan) == {"a": Reason.LAUNCHING, "b": Reason.BOOKED}


def test_what_ends_before_a_booking_starts_makes_room_for_it() -> None:
    running = attempt("r", "n1", gpus=4, running_for=0)
    world = snapshot(nodes(node("n1")), [workload("w", hours=9, gpus=4)], attempts=[running, booking(gpus=4)])

    assert placements(decide(world)) == {"w": {"n1": 1}}


def test_from_its_start_nobody_else_gets_its_gpus() -> None:
    active = booking(in_hours=-1)
    world = snapshot(nodes(node("n1")), [gone_in("theirs", 1, project=None), gone_in("blue", 1, team="blue")])
    rules = policy(pool("red", gpus=8), pool("blue", gpus=8))

    plan = decide(replace(world, policy=rules, attempts={active.id: active}))

    assert plan.launches == ()
    assert reasons(plan) == {"theirs": Reason.QUOTA, "blue": Reason.RESOURCES}


def test_its_projects_work_runs_inside_it_whosesoever_and_needs_no_hours() -> None:
    active = booking(in_hours=-1)
    ours = gone_in("ours", 2, gpus=4, owner="carl")
    world = snapshot(nodes(node("n1")), [ours], attempts=[active], balances=[balance("carl", 0)])

    plan = decide(world)

    [launch] = plan.launches
    assert (launch.workload_id, launch.booking_id, launch.funding, launch.is_funded) == ("ours", "bk", (), True)
    assert dict(launch.placement.pods_by_node) == {"n1": 1}


def test_what_would_outlast_it_does_not_start_inside() -> None:
    world = snapshot(nodes(node("n1")), [workload("w", hours=3)], attempts=[booking(in_hours=-1)])

    assert decide(world).launches == ()


def test_a_personal_booking_is_for_its_owner_alone() -> None:
    active = booking(in_hours=-1, project=None)
    mine, theirs = gone_in("mine", 1, project=None), gone_in("theirs", 1, project=None, owner="carl")

    plan = decide(snapshot(nodes(node("n1")), [mine, theirs], attempts=[active]))

    assert [(launch.workload_id, launch.booking_id) for launch in plan.launches] == [("mine", "bk")]


def test_what_runs_inside_is_nobodys_victim_and_takes_no_more_of_the_quota() -> None:
    active = booking(in_hours=-1, gpus=4)
    inside = replace(attempt("in", "n1", gpus=4), booking_id=WorkloadId("bk"))
    world = snapshot(
        nodes(node("n1")),
        [workload("u", gpus=8, priority_class=URGENT), workload("s", gpus=4, hours=9)],
        attempts=[active, inside],
        by=policy(pool("red", gpus=8)),
    )

    plan = decide(world)

    assert victims(plan) == {}
    assert placements(plan) == {"s": {"n1": 1}}


def test_no_preemptor_is_sent_where_a_booking_would_find_it() -> None:
    running = attempt("r", "n1", gpus=8, running_for=0)
    urgent = workload("u", gpus=8, priority_class=URGENT, hours=5)

    assert victims(decide(snapshot(nodes(node("n1")), [urgent], attempts=[running, booking()]))) == {}
    short = gone_in("u", 2 - STARTS_WITHIN, gpus=8, priority_class=URGENT)
    assert victims(decide(snapshot(nodes(node("n1")), [short], attempts=[running, booking()]))) == {"u": ["r"]}


def test_a_preemptor_is_gone_by_a_bookings_start_however_long_its_victims_take_to_end() -> None:
    """One that would be, were it to start at once, would start half a minute later, when they have saved their work."""
    running = attempt("r", "n1", gpus=8, running_for=0)
    urgent = gone_in("u", 2, gpus=8, priority_class=URGENT)
    assert victims(decide(snapshot(nodes(node("n1")), [urgent], attempts=[running, booking()]))) == {}

    slow = replace(running, grace_seconds=600)
    short = gone_in("u", 2 - STARTS_WITHIN, gpus=8, priority_class=URGENT)
    assert victims(decide(snapshot(nodes(node("n1")), [short], attempts=[slow, booking()]))) == {}


def test_who_would_be_gone_in_time_waits_for_what_is_stopping_anyway_and_has_nobody_else_stopped() -> None:
    """Its own victims would let it start too late; what ends there already may let it start in time."""
    stopping = attempt("s", "n1", gpus=8, state=AttemptState.STOPPING)
    other = attempt("o", "n2", gpus=8, running_for=0)
    urgent = gone_in("u", 2, gpus=8, priority_class=URGENT)
    two = nodes(node("n1"), node("n2"))
    assert victims(decide(snapshot(two, [urgent], attempts=[stopping, other, booking()]))) == {}


def test_after_its_end_its_gpus_are_everybodys() -> None:
    over = booking(in_hours=-5, hours=4)

    assert reasons(decide(snapshot(nodes(node("n1")), [workload("w", hours=9)], attempts=[over]))) == {
        "w": Reason.LAUNCHING
    }


def test_a_booking_starts_and_ends_by_time_alone_in_a_state_that_lives_on() -> None:
    ahead = booking(in_hours=1, hours=1)
    waiting = gone_in("w", 24, team="blue", gpus=8)
    rules = policy(pool("red", gpus=8), pool("blue", gpus=8))
    world = snapshot(nodes(node("n1")), [waiting], attempts=[ahead], by=rules)
    state, plan = step(State(), _all(world), NOW)
    assert reasons(plan) == {"w": Reason.BOOKED}

    state, plan = step(state, Changes(), Instant(NOW + MS_PER_HOUR))
    assert reasons(plan) == {"w": Reason.RESOURCES}
    assert state.index.wakes_at() <= NOW + 2 * MS_PER_HOUR

    _, plan = step(state, Changes(), Instant(NOW + 2 * MS_PER_HOUR))
    assert placements(plan) == {"w": {"n1": 1}}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2, 4]), st.sampled_from([0.5, 1, 2, 4]), st.booleans(), st.booleans()),
        max_size=8,
    ),
    st.lists(
        st.tuples(st.sampled_from(["n1", "n2"]), st.sampled_from([2, 4]), st.sampled_from([-1, 0.5, 1, 3])),
        max_size=2,
        unique_by=lambda each: each[0],
    ),
    st.lists(st.integers(0, 3), min_size=1, max_size=5),
)
def test_a_booking_finds_its_gpus_free_whatever_was_started_before(
    work: list[tuple[int, float, bool, bool]], booked: list[tuple[str, int, float]], pauses: list[int]
) -> None:
    """Cycle after cycle: no plan puts more on a node than it has beside what is booked there, a plan that was applied is
    followed by none that starts more, and the state that lives on says what a cold one says."""
    attempts = [booking(f"bk{i}", on, gpus=g, in_hours=at, hours=2) for i, (on, g, at) in enumerate(booked)]
    queued = [
        workload(
            f"w{i}", gpus=gpus, hours=hours, project="apollo" if is_ours else None, team="red" if is_red else "blue"
        )
        for i, (gpus, hours, is_ours, is_red) in enumerate(work)
    ]
    rules = policy(pool("red", gpus=16), pool("blue", gpus=16))
    world = snapshot(nodes(node("n1"), node("n2")), queued, attempts=attempts, by=rules)
    state, changes = State(), _all(world)
    for half_hours in pauses:
        state, plan = step(state, changes, world.now)
        assert [each.workload_id for each in plan.launches] == [each.workload_id for each in decide(world).launches]
        after = recorded(world, plan)
        assert not decide(after).launches
        for instant in sorted({after.now, *(b.launched_at for b in attempts if b.launched_at > after.now)}):
            _no_node_is_overfull(after, instant)
        later = _after(after, Instant(after.now + half_hours * MS_PER_HOUR // 2))
        changes = Changes(
            queued={each: None for each in world.queued if each not in later.queued},
            attempts={
                **{each: None for each in world.attempts if each not in later.attempts},
                **{each: known for each, known in later.attempts.items() if known != world.attempts.get(each)},
            },
            balances={each: known for each, known in later.balances.items() if known != world.balances[each]},
        )
        world = later


def _all(world: Snapshot) -> Changes:
    return Changes(
        policy=world.policy,
        nodes=world.nodes,
        queued=world.queued,
        attempts=world.attempts,
        balances=world.balances,
    )


def _after(world: Snapshot, now: Instant) -> Snapshot:
    """Everything used its time limit, and what is over is gone."""
    live = {
        known.id: known
        for known in world.attempts.values()
        if known.launched_at + known.time_limit_ms + known.grace_seconds * 1000 > now
    }
    return replace(world, attempts=live, now=now)


def _no_node_is_overfull(world: Snapshot, at: Instant) -> None:
    """What may run at that instant, with what is booked then: inside a booking, its own GPUs are counted once."""
    for name, known in world.nodes.items():
        booked = used = inside = 0
        for each in world.attempts.values():
            gpus = dict(each.placement.pods_by_node).get(name, 0) * each.pod.gpus
            if each.launched_at <= at < each.launched_at + each.time_limit_ms + each.grace_seconds * 1000:
                booked += gpus if each.is_booking else 0
                inside += gpus if each.is_inside else 0
                used += gpus if each.booking_id is None else 0
        assert inside <= booked
        assert used + booked <= known.gpus
