"""What is asked about before it is submitted, and would start inside a booking: nobody is charged but the booking."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.brakes import Brake, Pause
from scheduler.domain.policy import Limits
from scheduler.domain.reasons import Reason
from scheduler.domain.workloads import Attempt, Workload
from tests.decision.applying import recorded
from tests.decision.builders import A100, NOW, policy, pool, snapshot, workload
from tests.decision.test_bookings import gone_in
from tests.decision.test_first_inside import GANG, ONE, TWO, booked_on_both, day, gpus, inside, lasting, on
from tests.decision.test_forecasting import asked
from tests.decision.worlds import EXAMPLES


def within(*queued: Workload, attempts: list[Attempt]) -> Snapshot:
    """Nobody has any hours."""
    return snapshot(ONE, [*queued], attempts=attempts, balances=[])


def test_it_would_start_inside_though_nobody_has_hours_for_it() -> None:
    found = asked(within(attempts=[day()]), gone_in("w", 8, gpus=2))
    assert (found.ruling.reason, found.booking_id, found.starts) == (Reason.LAUNCHING, "bk", (NOW, NOW))


def test_beside_what_is_kept_inside_for_who_waits_first_there_it_would_not() -> None:
    world = within(GANG, attempts=[day(), inside("r", 2, hours=3)])
    assert asked(world, gone_in("long", 8, gpus=2)).booking_id is None
    assert asked(world, gone_in("short", 3, gpus=2)).booking_id == "bk"


def test_what_waits_behind_it_keeps_nothing_from_it_nor_does_it_from_itself() -> None:
    world = within(GANG, attempts=[day(), inside("r", 2, hours=3)])
    assert asked(world, gone_in("older", 8, gpus=2, age=100)).booking_id == "bk"
    alone = within(gone_in("w", 8, gpus=2), attempts=[day()])
    assert asked(alone, alone.queued[gone_in("w", 8).id]).booking_id == "bk"


def test_while_launching_is_paused_or_its_owner_is_at_a_limit_it_would_not() -> None:
    world, one = within(attempts=[day()]), gone_in("w", 8, gpus=2)
    paused = replace(world, pauses=(Pause(Brake.LAUNCH, "olga", "maintenance", NOW),))
    limited = replace(world, policy=policy(pool("red", gpus=64), limits=Limits(gpus_per_engineer=1)))
    assert (asked(paused, one).booking_id, asked(limited, one).booking_id) == (None, None)


def test_what_would_end_too_late_or_is_for_another_class_would_not() -> None:
    world = within(attempts=[day()])
    for other in (workload("w", hours=30), gone_in("w", 8, classes=(A100,))):
        assert asked(world, other).booking_id is None


@given(
    st.lists(st.tuples(on, gpus, lasting), max_size=5),
    st.lists(st.tuples(gpus, lasting, st.integers(1, 99)), max_size=6),
    st.tuples(st.sampled_from([1, 2]), gpus, lasting, st.integers(1, 99)),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_it_is_told_of_the_booking_inside_which_it_would_start(
    runs: list[tuple[str, int, float]],
    waiting: list[tuple[int, float, int]],
    wanted: tuple[int, int, float, int],
) -> None:
    queued = [gone_in(f"w{n}", hours, gpus=each, age=age) for n, (each, hours, age) in enumerate(waiting)]
    world = snapshot(TWO, queued, attempts=booked_on_both(runs), balances=[])
    while (plan := decide(world)).launches:
        world = recorded(world, plan)
    pods, each, hours, age = wanted
    one = gone_in("asked", hours, pods=pods, gpus=each, age=age)

    found = asked(world, one)
    after = decide(replace(world, queued={**world.queued, one.id: one}))
    told = [found.booking_id] if found.booking_id is not None else []
    assert [launch.booking_id for launch in after.launches if launch.workload_id == "asked"] == told
