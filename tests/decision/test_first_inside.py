"""Who waits first inside a booking has its earliest room there kept, as outside: nobody behind it makes it later."""

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.cluster import Node
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, Instant, NodeName, WorkloadId
from scheduler.domain.workloads import Attempt, AttemptState, Workload
from tests.decision.applying import recorded
from tests.decision.builders import NOW, attempt, elastic, node, nodes, placements, snapshot, workload
from tests.decision.test_behind_bookings import _end, _fit
from tests.decision.test_bookings import booking, gone_in
from tests.decision.worlds import EXAMPLES

ONE, TWO = nodes(node("n1")), nodes(node("n1"), node("n2"))
GANG = gone_in("gang", 10, gpus=8, age=99)


def inside(name: str, gpus: int, hours: float, on: str = "n1", within: str = "bk", **changes: object) -> Attempt:
    """Runs inside a booking, and has ended in so many hours, its grace too."""
    made = attempt(name, on, gpus=gpus, running_for=0)
    limit = int(hours * MS_PER_HOUR) - 30_000
    return replace(made, booking_id=WorkloadId(within), time_limit_ms=limit, **changes)  # type: ignore[arg-type]


def day(name: str = "bk", on: str = "n1", gpus: int = 8) -> Attempt:
    """A booking that began an hour ago and has 23 hours left."""
    return booking(name, on, gpus=gpus, in_hours=-1, hours=24)


def started(
    *queued: Workload, attempts: list[Attempt], known: dict[NodeName, Node] = ONE
) -> dict[str, dict[str, int]]:
    return placements(decide(snapshot(known, [*queued], attempts=attempts, balances=[])))


def test_inside_a_booking_who_waits_first_has_its_earliest_room_kept() -> None:
    attempts = [day(), inside("r", 2, hours=3)]
    assert started(GANG, gone_in("long", 8, gpus=2), attempts=attempts) == {}
    assert started(GANG, gone_in("short", 3, gpus=2), attempts=attempts) == {"short": {"n1": 1}}


def test_inside_a_booking_others_start_beside_what_is_kept_as_far_as_that_goes() -> None:
    """Six are kept of the eight; and after the first of two that stay, none is left."""
    first = gone_in("first", 10, gpus=6, age=99)
    two = [gone_in(name, 8, gpus=1, age=age) for name, age in (("a", 9), ("b", 8), ("c", 7))]
    assert started(first, *two, attempts=[day(), inside("r", 3, hours=3)]).keys() == {"a", "b"}


def test_inside_a_booking_it_waits_for_what_starts_there_before_it_in_the_same_cycle() -> None:
    first, gang = gone_in("first", 3, gpus=6, age=100), gone_in("gang", 10, gpus=8, age=99)
    assert started(first, gang, gone_in("long", 8, gpus=2), attempts=[day()]).keys() == {"first"}
    assert started(first, gang, gone_in("short", 3, gpus=2), attempts=[day()]).keys() == {"first", "short"}


def test_inside_a_booking_nobody_starts_on_gpus_that_somebody_from_outside_has_not_left() -> None:
    """Four of its eight GPUs are still in use: of two that take three each, one starts."""
    late = replace(attempt("late", "n1", gpus=4, owner="eve"), state=AttemptState.STOPPING)
    two = [gone_in(name, 8, gpus=3, age=age) for name, age in (("a", 9), ("b", 8))]
    assert started(*two, attempts=[day(), late]).keys() == {"a"}


def test_what_is_told_to_stop_inside_leaves_at_once() -> None:
    stopping = inside("r", 2, hours=20, state=AttemptState.STOPPING, stop_reason=Reason.CANCELLED)
    assert started(GANG, gone_in("short", 3, gpus=2), attempts=[day(), stopping]) == {}


def test_what_should_have_left_before_it_began_is_waited_for_too() -> None:
    late = attempt("late", "n1", gpus=6, state=AttemptState.STOPPING, stop_reason=Reason.TIME_LIMIT)
    assert started(GANG, gone_in("small", 3, gpus=2), attempts=[day(), late]) == {}


def test_who_could_not_end_inside_any_more_keeps_nobody_waiting() -> None:
    small = gone_in("small", 8, gpus=2)
    assert started(gone_in("gang", 22, gpus=8, age=99), small, attempts=[day(), inside("r", 2, hours=3)])
    assert started(gone_in("gang", 10, gpus=16, age=99), small, attempts=[day(), inside("r", 2, hours=3)])


def test_of_two_bookings_it_is_kept_in_the_one_where_it_is_free_first() -> None:
    attempts = [day(), inside("r", 2, hours=5), day("bl", "n2"), inside("s", 2, hours=3, on="n2", within="bl")]
    small = [gone_in(f"small{number}", 8, gpus=6, age=9 - number) for number in range(2)]
    assert started(GANG, *small, attempts=attempts, known=TWO) == {"small0": {"n1": 1}}
    eight = [GANG, replace(GANG, id=WorkloadId("next")), *small]
    assert started(*eight, attempts=attempts, known=TWO) == {}


def test_elastic_work_inside_takes_no_more_than_there_is_beside_what_is_kept() -> None:
    first = gone_in("first", 10, gpus=6, age=99)
    job = elastic("job", 8, 1, hours=8)
    assert started(first, job, attempts=[day(), inside("r", 3, hours=3)]) == {"job": {"n1": 2}}


def test_who_starts_outside_has_nothing_kept_inside() -> None:
    world = snapshot(TWO, [GANG, gone_in("small", 8, gpus=2)], attempts=[day(), inside("r", 2, hours=3)])
    plan = decide(world)
    assert {launch.workload_id: launch.booking_id for launch in plan.launches} == {"gang": None, "small": "bk"}
    assert not decide(recorded(world, plan)).launches


gpus = st.sampled_from([1, 2, 4, 6, 8])
lasting = st.sampled_from([0.5, 1, 2, 3, 5, 9])
on = st.sampled_from(["n1", "n2"])


def booked_on_both(runs: Iterable[tuple[str, int, float]]) -> list[Attempt]:
    """A booking of both nodes, and inside it those of the runs (where, GPUs, hours) that fit beside those before."""
    attempts: list[Attempt] = []
    for number, (name, count, hours) in enumerate(runs):
        made = inside(f"r{number}", count, hours, on=name)
        attempts += [made] if _fit(TWO, [*attempts, made]) else []
    return [replace(day(), placement=attempt("x", {"n1": 1, "n2": 1}).placement), *attempts]


@given(
    st.lists(st.tuples(on, gpus, lasting), max_size=5),
    st.lists(st.tuples(gpus, lasting, st.booleans()), min_size=1, max_size=8),
    st.tuples(st.sampled_from([1, 2]), st.sampled_from([2, 4, 6, 8]), lasting),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_nobody_behind_it_makes_whoever_is_first_inside_start_later(
    runs: list[tuple[str, int, float]], behind: list[tuple[int, float, bool]], wanted: tuple[int, int, float]
) -> None:
    """With everything to its time limit, cycle after cycle, it starts when it would with nobody behind it."""
    kept = booked_on_both(runs)
    pods, each, hours = wanted
    first = gone_in("gang", hours, pods=pods, gpus=each, age=99)
    others = [
        elastic(f"w{number}", 8, 1, hours=lasts) if is_elastic else workload(f"w{number}", gpus=count, hours=lasts)
        for number, (count, lasts, is_elastic) in enumerate(behind)
    ]
    alone = _start_of(snapshot(TWO, [first], attempts=kept, balances=[]))
    assert _start_of(snapshot(TWO, [first, *others], attempts=kept, balances=[])) <= alone


def _start_of(world: Snapshot) -> Instant:
    """When the gang starts, where everything uses its time limit and grace."""
    while True:
        plan = decide(world)
        if "gang" in placements(plan):
            return world.now
        world = recorded(world, plan)
        now = min(at for each in world.attempts.values() if (at := _end(each)) > world.now)
        live = {name: each for name, each in world.attempts.items() if _end(each) > now}
        world = replace(world, now=now, attempts=live)
        assert now <= NOW + 23 * MS_PER_HOUR, "its booking is not over"
