"""Who is held back at the turnstile would have been set aside at their turn: nothing else comes of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar
from unittest.mock import patch

from hypothesis import event, given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import step
from scheduler.decision.ordering.queue import LaneKey, Line
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.decision.walking.turnstile import Turnstile
from scheduler.domain.allowances import AllowanceBalance, HolderKind
from scheduler.domain.policy import Limits, Order, Policy, Project
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, Instant, PerMille, ProjectName, TeamName, WorkloadId
from scheduler.domain.workloads import ArrayPlace, Workload
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
from tests.decision.worlds import EXAMPLES, mostly

_K = TypeVar("_K")
_V = TypeVar("_V")

TEAM_OF = {"ada": "red", "bob": "red", "cyd": "blue", "dan": "blue"}


@contextmanager
def nobody_is_held() -> Iterator[None]:
    """A cycle that lets everybody in and looks at everybody, as there was before the turnstile."""
    with patch.object(Turnstile, "_is_quiet", lambda _: False):
        yield


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Two pools of one cohort, two projects in each, one of which may matter twice as much."""
    order = draw(mostly(Order.PACE, Order.FIFO, Order.FAIR_SHARE))
    pools = [
        replace(
            pool(name, gpus=draw(mostly(64, 12)), cohort="all"),
            order=order,
            ageing_ms=draw(mostly(10 * MS_PER_HOUR, MS_PER_HOUR // 2)),
        )
        for name in ("red", "blue")
    ]
    projects = [
        Project(ProjectName(name), TeamName(team), importance=PerMille(draw(mostly(1000, 2000))))
        for name, team in (("apollo", "red"), ("beacon", "red"), ("cosmos", "blue"))
    ]
    limits = Limits(gpus_per_engineer=draw(mostly(8, 4, 16)), gpus_per_team=draw(mostly(None, 12)))
    return policy(
        *pools, limits=limits, tiers=[tier("small", gpus_max=4)], projects={each.name: each for each in projects}
    )


@st.composite
def crowds(draw: st.DrawFn) -> Snapshot:
    """Room for many, and owners with more in line than they may run at once."""
    known = nodes(
        *(node(f"n{number}", 8) for number in range(draw(mostly(8, 2)))),
        *(node(f"o{number}", 8, gpu_class=A100) for number in range(2)),
    )
    queued = [draw(waiting(number)) for number in range(draw(st.integers(2, 14)))]
    return snapshot(
        known,
        queued,
        by=draw(policies()),
        balances=[balance(owner, draw(mostly(1000, 9))) for owner in TEAM_OF],
        tiers={each.owner: draw(mostly(None, "small")) for each in queued},
    )


@st.composite
def waiting(draw: st.DrawFn, number: int) -> Workload:
    owner = draw(mostly("ada", "bob", "cyd", "dan"))
    team = TEAM_OF[owner]
    return workload(
        f"w{number:02}",
        owner=owner,
        team=team,
        gpus=draw(st.sampled_from([1, 2, 4, 8])),
        hours=draw(mostly(1, 2, 3)),
        age=draw(st.integers(0, 60)) * 60,
        priority_class=draw(mostly(STANDARD, URGENT, SPARE)),
        classes=draw(mostly((H100,), (A100,), (A100, H100))),
        project=draw(mostly("apollo", "beacon")) if team == "red" else "cosmos",
    )


def changes_between(before: Snapshot, after: Snapshot) -> Changes:
    """What differs, as a cycle is told of it."""
    return Changes(
        queued=_differing(before.queued, after.queued),
        attempts=_differing(before.attempts, after.attempts),
        launched=_differing(before.launched, after.launched),
        balances=_differing(before.balances, after.balances),
    )


def _differing(old: Mapping[_K, _V], new: Mapping[_K, _V]) -> dict[_K, _V | None]:
    return {key: new.get(key) for key in {**old, **new} if old.get(key) != new.get(key)}


def everything(known: Snapshot) -> Changes:
    return Changes(**{name: value for name, value in vars(known).items() if name != "now"})


@given(st.data())
@settings(max_examples=4 * EXAMPLES, deadline=None)
def test_what_is_planned_and_told_is_the_same_as_when_everybody_is_let_in(data: st.DataObject) -> None:
    """Cycle by cycle: some of what runs ends, somebody new comes, and now and then a plan is not recorded."""
    known = data.draw(crowds(), label="crowd")
    short, full, changes = State(), State(), everything(known)
    for number in range(5):
        with seen() as happened:
            plan = step(short, changes, known.now)[1]
        for each in happened:
            event(each)
        with nobody_is_held():
            expected = step(full, changes, known.now)[1]
        assert plan == expected
        assert short.verdicts == full.verdicts
        assert short.queue() == full.queue()
        assert [short.explain(each) for each in known.queued] == [full.explain(each) for each in known.queued]

        following = recorded(known, plan) if data.draw(mostly(True, False), label="is recorded") else known
        running = sorted(following.attempts)
        gone = data.draw(st.sets(st.sampled_from(running), max_size=2), label="ends") if running else set()
        arrived = data.draw(waiting(20 + number), label="comes")
        following = replace(
            following,
            now=Instant(known.now + data.draw(mostly(MS_PER_MINUTE, 20 * MS_PER_MINUTE))),
            attempts={key: each for key, each in following.attempts.items() if key not in gone},
            queued={**following.queued, arrived.id: replace(arrived, submitted_at=known.now)},
        )
        known, changes = following, changes_between(known, following)


@contextmanager
def seen() -> Iterator[list[str]]:
    """What the turnstile does meanwhile."""
    happened: list[str] = []
    first_few, let_in = Turnstile._first_few, Turnstile.let_everybody_in

    def watched(self: Turnstile, owner: str, together: list[tuple[Line, LaneKey]]) -> list[tuple[Line, LaneKey]]:
        found = first_few(self, owner, together)  # type: ignore[arg-type] # an owner's id
        happened.extend(["held"] * (len(together) - len(found)))
        return found

    def opened(self: Turnstile) -> None:
        happened.append("served anew")
        let_in(self)

    with patch.object(Turnstile, "_first_few", watched), patch.object(Turnstile, "let_everybody_in", opened):
        yield happened


def at_the_limit(*queued: Workload, hours: float = 1000, limit: int = 8) -> Snapshot:
    """Ada may run eight GPUs, or so many, and there is room for more."""
    by = policy(pool("red", gpus=64), limits=Limits(gpus_per_engineer=limit))
    return snapshot(nodes(node("n1"), node("n2")), queued, by=by, balances=[balance("ada", hours)])


def test_of_an_owner_at_the_limit_those_behind_who_starts_are_held_and_told_of_it() -> None:
    queued = [workload(f"w{number}", gpus=4, hours=number + 1, age=100 - number) for number in range(5)]
    with seen() as happened:
        state, plan = step(State(), everything(at_the_limit(*queued)), at_the_limit().now)

    assert [launch.workload_id for launch in plan.launches] == ["w0", "w1"]
    assert reasons(plan) == {
        "w0": Reason.LAUNCHING,
        "w1": Reason.LAUNCHING,
        "w2": Reason.ENGINEER_GPU_LIMIT,
        "w3": Reason.ENGINEER_GPU_LIMIT,
        "w4": Reason.ENGINEER_GPU_LIMIT,
    }
    assert state.verdicts[WorkloadId("w4")].evidence == {"used": 8, "limit": 8, "needed": 4}
    assert happened == ["held"] * 3


def test_one_that_is_not_going_to_have_the_hours_is_let_in_for_the_sake_of_one_behind_it() -> None:
    """The first takes the hours that the second, a long one, would need: the third, a short one, starts in its place."""
    queued = [workload(f"w{number}", gpus=4, hours=hours, age=100 - number) for number, hours in enumerate((2, 3, 1))]
    known = at_the_limit(*queued, hours=14)
    with seen() as happened:
        plan = step(State(), everything(known), known.now)[1]

    assert reasons(plan) == {"w0": Reason.LAUNCHING, "w1": Reason.ALLOWANCE_SHORT, "w2": Reason.LAUNCHING}
    assert happened == []


def test_where_hours_end_before_the_limit_those_held_are_told_of_the_hours_and_nobody_is_served_anew() -> None:
    queued = [workload(f"w{number}", gpus=4, hours=hours, age=100 - number) for number, hours in enumerate((5, 6, 7))]
    known = at_the_limit(*queued, hours=30)
    with seen() as happened:
        state, plan = step(State(), everything(known), known.now)

    assert reasons(plan) == {"w0": Reason.LAUNCHING, "w1": Reason.ALLOWANCE_SHORT, "w2": Reason.ALLOWANCE_SHORT}
    assert state.verdicts[WorkloadId("w2")].evidence == {
        "needed_hours": "28.0",
        "available_hours": "10.0",
        "short_hours": "18.0",
    }
    assert happened == ["held"] * 2
    assert launched(known) == ["w0"]


def test_where_a_team_s_hours_end_before_the_limit_the_cycle_is_served_anew() -> None:
    """Somebody else may book on them: what is left at the end need not be what was left at a turn."""
    queued = [workload(f"w{number}", gpus=4, hours=hours, age=100 - number) for number, hours in enumerate((5, 6, 7))]
    known = with_balances(at_the_limit(*queued), balance("red", 30, kind=HolderKind.TEAM))
    with seen() as happened:
        plan = step(State(), everything(known), known.now)[1]

    assert reasons(plan) == {"w0": Reason.LAUNCHING, "w1": Reason.ALLOWANCE_SHORT, "w2": Reason.ALLOWANCE_SHORT}
    assert happened == ["held", "held", "served anew"]


def test_where_room_has_gone_as_well_as_hours_the_cycle_is_served_anew() -> None:
    """What is told of hours is of the class that would be started on: that may be another where there is no room."""
    queued = [
        workload(f"w{number}", gpus=4, hours=hours, age=100 - number) for number, hours in enumerate((5, 4, 2, 3))
    ]
    known = at_the_limit(*queued, hours=30, limit=16)
    known = replace(known, nodes=nodes(node("n1")))
    with seen() as happened:
        assert launched(known) == ["w0", "w2"]
    assert happened == ["held", "served anew"]


def test_who_has_hours_that_another_start_does_not_take_is_not_overtaken_by_who_was_let_in() -> None:
    """The team pays for the project's work, so that Ada's own hours are enough for the third: before the last, which is
    like the first."""
    queued = [
        workload("w0", gpus=4, age=100, hours=1, project=None),
        workload("w1", gpus=4, age=90, hours=7),
        workload("w2", gpus=4, age=80, hours=1.25, project=None),
        workload("w3", gpus=4, age=70, hours=1, project=None),
    ]
    known = with_balances(
        at_the_limit(*queued, limit=12), balance("red", 30, kind=HolderKind.TEAM), balance("ada", 10)
    )
    with seen() as happened:
        assert launched(known) == ["w0", "w1", "w2"]
    assert happened == ["held", "served anew"]


def with_balances(known: Snapshot, *balances: AllowanceBalance) -> Snapshot:
    return replace(known, balances={each.allowance.id: each for each in balances})


def test_who_waits_for_room_is_told_so_and_not_of_the_limit() -> None:
    by = policy(pool("red", gpus=64), limits=Limits(gpus_per_engineer=8))
    queued = [workload("small", gpus=4, age=100, classes=(A100,)), workload("large", gpus=8)]
    in_the_way = attempt("r", "n1", gpus=4, priority_class=URGENT)
    known = snapshot(nodes(node("n1"), node("o1", gpu_class=A100)), queued, by=by, attempts=[in_the_way])

    plan = step(State(), everything(known), known.now)[1]
    assert reasons(plan) == {"small": Reason.LAUNCHING, "large": Reason.RESOURCES}


def test_indexes_of_an_array_are_not_held_for_it_may_have_a_limit_of_its_own() -> None:
    sweep = [workload(f"sweep-i{number}", gpus=8, age=100 - number) for number in range(2)]
    known = at_the_limit(
        *(replace(each, spec=replace(each.spec, array=ArrayPlace(number, 2))) for number, each in enumerate(sweep)),
        workload("w", gpus=8),
    )
    with seen() as happened:
        plan = step(State(), everything(known), known.now)[1]

    assert [launch.workload_id for launch in plan.launches] == ["sweep-i0"]
    assert happened == []


# --- pools compete by who is first in each, whether they may start or not ---------------------------------------------


def test_beside_another_pool_nobody_is_held_whom_their_owner_s_starts_leave_before_the_others() -> None:
    """When the first has started, the second is sent back behind the third, which has not been looked at again yet."""
    by = policy(pool("red", cohort="all"), pool("blue", cohort="all"), limits=Limits(gpus_per_engineer=2))
    queued = [workload("a1"), workload("a2"), workload("b", owner="cyd", team="blue"), workload("c", gpus=2)]
    known = snapshot(nodes(node("n1")), queued, by=by)

    assert launched(known) == ["a1", "b", "a2"]


def test_beside_another_pool_nobody_is_held_before_another_owner_of_their_own() -> None:
    """Bob comes after Ada, but before Cyd, if Ada's second were not first in their pool."""
    by = policy(pool("red", cohort="all"), pool("blue", cohort="all"), limits=Limits(gpus_per_engineer=2))
    queued = [
        workload("a1", gpus=2, age=400),
        workload("a2", gpus=2, age=100),
        workload("b", owner="bob", age=300),
        workload("c", owner="cyd", team="blue", age=200),
    ]
    behind = [balance("ada", 1000), balance("bob", 100, granted=1000), balance("cyd", 1000)]
    known = snapshot(nodes(node("n1")), queued, by=by, balances=behind)

    assert launched(known) == ["a1", "c", "b"]


def launched(known: Snapshot) -> list[str]:
    """Who starts, in the order of the plan, which is the same if nobody is held."""
    plan = step(State(), everything(known), known.now)[1]
    with nobody_is_held():
        assert step(State(), everything(known), known.now)[1] == plan
    return [launch.workload_id for launch in plan.launches]
