"""Over generated histories: limits, arrays and spend guards hold at every instant, whatever starts, ends and comes back."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.allowances import Holder
from scheduler.domain.arrays import array_of
from scheduler.domain.guards import GuardOf, GuardWindow, SpendGuard, used_by, windows_from
from scheduler.domain.periods import Period
from scheduler.domain.policy import Limits, Order, Policy, WithinPool
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, Instant, WorkloadId
from scheduler.domain.workloads import ArrayPlace, Attempt, Workload
from tests.decision.builders import (
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    balance,
    node,
    nodes,
    policy,
    pool,
    snapshot,
    workload,
)
from tests.decision.histories import PAUSES, History
from tests.decision.test_bookings import booking
from tests.decision.test_guarding import IN_AUTUMN, IN_SPRING
from tests.decision.worlds import EXAMPLES, OWNERS, mostly

TEAMS = ("red", "blue")
ZONES = (
    ("UTC", NOW),
    ("Europe/Berlin", IN_AUTUMN),
    ("Europe/Berlin", IN_SPRING),
    (
        "America/New_York",
        Instant(1_793_505_600_000),
    ),  # Sunday, 1 November 2026, whose hour from 1:00 on is there twice
    ("Australia/Lord_Howe", Instant(1_791_034_200_000)),  # half an hour is left out on Sunday, 4 October 2026
)


@st.composite
def arrivals(draw: st.DrawFn, number: int, now: Instant) -> list[Workload]:
    """Single pieces of work, or an array of some."""
    made = workload(
        f"w{number}",
        owner=draw(st.sampled_from(OWNERS)),
        team=draw(st.sampled_from(TEAMS)),
        gpus=draw(st.sampled_from([1, 2, 4])),
        pods=draw(mostly(1, 2)),
        hours=draw(st.sampled_from([1 / 60, 0.25, 1, 2, 15])),
        priority_class=draw(mostly(STANDARD, URGENT, SPARE)),
    )
    least = draw(mostly(None, 1)) if made.spec.pods > 1 else None
    made = replace(made, spec=replace(made.spec, min_pods=least), submitted_at=now)
    if draw(mostly(True, False)):
        return [made]
    count, at_once = draw(st.integers(2, 5)), draw(st.sampled_from([1, 2, 3]))
    return [
        replace(
            made,
            id=WorkloadId(f"w{number}-i{index}"),
            spec=replace(made.spec, array=ArrayPlace(index, count, at_once)),
        )
        for index in range(count)
    ]


def spent_in(attempts: list[Attempt], guard: SpendGuard, holder: Holder, window: Period) -> int:
    return sum(used_by(each, window) for each in attempts if guard.holder(each.owner, each.team) == holder)


@st.composite
def rules(draw: st.DrawFn, time_zone: str) -> Policy:
    """Nobody is stopped for anybody: what starts is all that a guard has to look at."""
    guards = tuple(
        SpendGuard(
            f"{of.value} {window.value}",
            of,
            window,
            hard=draw(st.integers(2, 30)) * MS_PER_HOUR * (1 if window is GuardWindow.HOUR else 4),
        )
        for of in GuardOf
        for window in GuardWindow
        if draw(mostly(False, True))
    )
    return replace(
        policy(
            *(
                pool(team, gpus=8, cohort="all", order=draw(st.sampled_from(Order)), within_pool=WithinPool.NEVER)
                for team in TEAMS
            ),
            limits=Limits(gpus_per_engineer=draw(mostly(None, 6)), gpus_per_team=draw(mostly(None, 10))),
        ),
        spend_guards=guards,
        time_zone=time_zone,
    )


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_no_guard_and_no_limit_is_exceeded_by_what_starts_in_a_history(data: st.DataObject) -> None:
    time_zone, around = data.draw(st.sampled_from(ZONES))
    start = Instant(
        around + data.draw(st.integers(-600, 900)) * MS_PER_MINUTE + data.draw(st.sampled_from([0, 1, 59_000]))
    )
    known = data.draw(rules(time_zone))
    booked = [
        booking(f"bk{n}", "n1", gpus=4, in_hours=0, hours=9, team="red") for n in range(data.draw(mostly(0, 1)))
    ]
    booked = [replace(each, launched_at=start) for each in booked]
    world = snapshot(
        nodes(node("n1"), node("n2")),
        by=known,
        attempts=booked,
        balances=[balance(owner, 10**6) for owner in OWNERS],
        now=start,
    )
    history, number = History(world), 0
    for _ in range(data.draw(st.integers(2, 9))):
        for _ in range(data.draw(st.integers(0, 4))):
            number += 1
            come = data.draw(arrivals(number, history.world.now))
            history.world = replace(history.world, queued={**history.world.queued, **{w.id: w for w in come}})
        plan = history.decide()
        assert beyond_limits(history) == []
        begun = {each.workload_id for each in plan.launches} | {each.workload_id for each in plan.growths}
        assert beyond_guards(history, begun) == []
        history.go_on(data.draw, Instant(history.world.now + data.draw(st.sampled_from(PAUSES))))


def beyond_limits(history: History) -> list[str]:
    """Arrays of which more indexes run than may at once; people and teams with more GPUs than they may have."""
    world = history.world
    live = [each for each in world.attempts.values() if not each.is_booking]
    of_owner, of_team = Counter[str](), Counter[str]()
    for each in live:
        of_owner[each.owner] += each.gpus
        of_team[each.team] += each.gpus
    running = Counter(array_of(each.workload_id) for each in live)
    places = {array_of(key): each.spec.array for key, each in world.launched.items() if each.spec.array is not None}
    limits = world.policy.limits
    beyond = [owner for owner, gpus in of_owner.items() if gpus > (limits.gpus_per_engineer or gpus)]
    beyond += [team for team, gpus in of_team.items() if gpus > (limits.gpus_per_team or gpus)]
    return beyond + [
        f"{array}" for array, place in places.items() if running[array] > (place.at_once or running[array])
    ]


def beyond_guards(history: History, begun: set[WorkloadId]) -> list[tuple[str, Period]]:
    """Guards and windows of which something takes that began or grew in this cycle, and whose holder has more than the
    hard limit, if all uses its time limit and grace."""
    world = history.world
    attempts = list(history.all_attempts())
    new = [each for each in attempts if each.workload_id in begun and each.ended_at is None]
    beyond: list[tuple[str, Period]] = []
    for guard in world.policy.spend_guards:
        window = windows_from(guard.window, world.now, world.policy.time_zone)[0]
        for _ in range(3):
            for holder in {guard.holder(each.owner, each.team) for each in new}:
                takes = spent_in(new, guard, holder, window)
                if takes and spent_in(attempts, guard, holder, window) > (guard.hard or 0):
                    beyond.append((guard.name, window))
            window = windows_from(guard.window, window.ends_at, world.policy.time_zone)[0]
    return beyond
