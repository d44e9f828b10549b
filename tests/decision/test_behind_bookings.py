"""Who waits for a booking to pass has room kept free as who waits for work to end: nobody behind it makes it later."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.cluster import Node
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, MS_PER_SECOND, Instant, NodeName, WorkloadId
from scheduler.domain.workloads import Attempt, Workload
from tests.decision.applying import recorded
from tests.decision.builders import (
    NOW,
    SPARE,
    attempt,
    cold,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    snapshot,
    workload,
)
from tests.decision.changing import told_between
from tests.decision.test_bookings import booking, gone_in
from tests.decision.worlds import EXAMPLES

GANG = WorkloadId("gang")
ONE = nodes(node("n1"))


def gang(hours: float = 3, **changes: object) -> Workload:
    return workload("gang", gpus=8, hours=hours, age=99, **changes)  # type: ignore[arg-type]  # by name


def test_who_waits_for_a_booking_to_pass_has_the_room_after_it_kept() -> None:
    """Beside the booking there would be room for half a day, and the gang would wait for that as well."""
    half = booking(gpus=4, hours=1)
    plan = decide(snapshot(ONE, [gang(), workload("long", gpus=4, hours=10)], attempts=[half]))
    assert reasons(plan) == {"gang": Reason.BOOKED, "long": Reason.PRIORITY}

    plan = decide(snapshot(ONE, [gang(), gone_in("short", 3, gpus=4)], attempts=[half]))
    assert placements(plan) == {"short": {"n1": 1}}


def test_between_two_bookings_it_has_kept_what_it_has_time_for() -> None:
    """From the first hour's end on there are three until the second: enough for the one, too few for the other."""
    first, second = booking("first", gpus=4, in_hours=1, hours=1), booking("second", gpus=4, in_hours=5, hours=1)
    four = gone_in("four", 4, gpus=4, priority_class=SPARE)
    plan = decide(snapshot(ONE, [gone_in("gang", 3, gpus=8, age=99), four], attempts=[first, second]))
    assert reasons(plan) == {"gang": Reason.BOOKED, "four": Reason.PRIORITY}

    plan = decide(snapshot(ONE, [gang(4), four], attempts=[first, second]))
    assert reasons(plan) == {"gang": Reason.BOOKED, "four": Reason.LAUNCHING}


def test_beside_what_it_will_have_others_start() -> None:
    """A second node has room that neither the gang nor a booking needs."""
    two = nodes(node("n1"), node("n2", 4))
    plan = decide(snapshot(two, [gang(), workload("long", gpus=4, hours=10)], attempts=[booking(gpus=4, hours=1)]))
    assert placements(plan) == {"long": {"n2": 1}}


gpus = st.sampled_from([1, 2, 4, 6, 8])
lasting = st.sampled_from([0.5, 1, 2, 3, 5, 9])
on = st.sampled_from(["n1", "n2"])


@given(
    st.lists(st.tuples(on, gpus, lasting), max_size=4),
    st.lists(st.tuples(on, gpus, lasting, lasting), max_size=3),
    st.lists(st.tuples(gpus, lasting), min_size=1, max_size=8),
    st.tuples(st.sampled_from([1, 2]), st.sampled_from([4, 6, 8]), lasting),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_nobody_behind_it_makes_whoever_is_first_start_later(
    runs: list[tuple[str, int, float]],
    booked: list[tuple[str, int, float, float]],
    behind: list[tuple[int, float]],
    wanted: tuple[int, int, float],
) -> None:
    """With everything to its time limit, cycle after cycle, it starts when it would with nobody behind it."""
    known = nodes(node("n1"), node("n2"))
    attempts: list[Attempt] = []
    for number, (name, count, hours) in enumerate(runs):
        made = replace(attempt(f"r{number}", name, gpus=count), time_limit_ms=int((1 + hours) * MS_PER_HOUR))
        attempts += [made] if _fit(known, [*attempts, made]) else []
    for number, (name, count, in_hours, hours) in enumerate(booked):
        made = booking(f"bk{number}", name, gpus=count, in_hours=in_hours, hours=hours, project=None, owner="eve")
        attempts += [made] if _fit(known, [*attempts, made]) else []
    pods, each, hours = wanted
    first = workload("gang", pods=pods, gpus=each, hours=hours, age=99)
    others = [workload(f"w{number}", gpus=count, hours=lasts) for number, (count, lasts) in enumerate(behind)]

    alone = _start_of(snapshot(known, [first], attempts=attempts))
    assert _start_of(snapshot(known, [first, *others], attempts=attempts)) <= alone


def _start_of(world: Snapshot) -> Instant:
    """When the gang starts, where everything uses its time limit and grace."""
    while True:
        plan = decide(world)
        if GANG in placements(plan):
            return world.now
        world = recorded(world, plan)
        ends = [_end(each) for each in world.attempts.values()]
        instants = [*ends, *(each.launched_at for each in world.attempts.values())]
        now = min(at for at in instants if at > world.now)
        live = {name: each for name, each in world.attempts.items() if _end(each) > now}
        world = replace(world, now=now, attempts=live)


def _end(made: Attempt) -> Instant:
    since = made.started_at if made.started_at is not None else made.launched_at
    return Instant(since + made.time_limit_ms + made.grace_seconds * MS_PER_SECOND)


def _fit(known: dict[NodeName, Node], made: list[Attempt]) -> bool:
    """Whether no node is asked for more than it has, now and as each booking begins."""
    for at in {NOW, *(each.launched_at for each in made)}:
        for name, one in known.items():
            here = [each for each in made if each.launched_at <= at < _end(each)]
            if sum(dict(each.placement.pods_by_node).get(name, 0) * each.gpus for each in here) > one.gpus:
                return False
    return True


def test_quota_that_a_booking_will_use_and_give_back_is_not_what_an_aged_one_waits_for() -> None:
    """It has its quota when what runs has ended, in twenty hours: until then others may use what is left of it."""
    runs = replace(attempt("r", "n1", gpus=8, running_for=0), time_limit_ms=20 * MS_PER_HOUR)
    aged = workload("aged", gpus=8, age=30 * 24 * 3600)
    known = nodes(node("n1"), node("n2"), node("n3"))
    for hours, said in ((19, Reason.LAUNCHING), (21, Reason.PRIORITY)):
        for attempts in ([runs], [runs, booking(on="n3", gpus=4, in_hours=10, hours=2)]):
            waiting = [aged, workload("w", gpus=4, hours=hours)]
            plan = decide(snapshot(known, waiting, attempts=attempts, by=policy(pool("red", gpus=12))))
            assert reasons(plan) == {"aged": Reason.QUOTA, "w": said}


def test_a_booking_that_begins_at_this_very_instant_is_counted_once() -> None:
    """Its half of the node is gone; the gang has the other half when what runs there has ended, in an hour."""
    runs = attempt("r", "n1", gpus=2, running_for=0)
    four = workload("gang", gpus=4, age=99)
    for hours, started in ((1, {"w": {"n1": 1}}), (2, {})):
        behind = workload("w", gpus=2, hours=hours)
        world = snapshot(ONE, [four, behind], attempts=[runs, booking(gpus=4, in_hours=0, owner="eve", project=None)])
        assert placements(decide(world)) == started


def test_what_ends_inside_a_booking_gives_nobody_outside_its_quota() -> None:
    """Two of ten GPUs of quota are left, and an aged one waits for four: until what runs outside has
    ended, in two hours."""
    booked = booking(gpus=4, in_hours=-1, hours=9)
    inside = replace(attempt("in", "n1", gpus=4, running_for=0), booking_id=booked.workload_id)
    outside = replace(attempt("r", "n2", gpus=4, running_for=0), time_limit_ms=2 * MS_PER_HOUR)
    aged = workload("aged", gpus=4, age=30 * 24 * 3600, owner="eve", project=None)
    world = snapshot(
        nodes(node("n1"), node("n2"), node("n3")),
        [aged, gone_in("w", 1.9, gpus=2, owner="bob", project=None)],
        attempts=[booked, inside, outside],
        by=policy(pool("red", gpus=10)),
    )
    assert reasons(decide(world)) == {"aged": Reason.QUOTA, "w": Reason.LAUNCHING}


def test_who_behind_a_booking_would_be_gone_in_time_hears_why_they_wait_now_though_longer_work_waits_on() -> None:
    """First the node is full, then, once there is another, the quota is used up: the one that lasts is told nothing new."""
    shorts = [gone_in(f"s{number:02}", 1, age=50 - number) for number in range(10)]
    world = snapshot(
        ONE,
        [workload("long", hours=3, age=99), *shorts],
        attempts=[booking(), booking("other", "n2")],
        by=policy(pool("red", gpus=9)),
    )
    state, after = cold(world), recorded(world, decide(world))
    larger = replace(after, nodes=nodes(node("n1"), node("n2")))
    assert state.verdicts[shorts[9].id].reason is Reason.PRIORITY

    plan = step(state, told_between(world, larger), NOW)[1]

    assert reasons(plan) == {"s08": Reason.LAUNCHING, "s09": Reason.QUOTA}
    assert state.verdicts[WorkloadId("long")].reason is Reason.BOOKED
