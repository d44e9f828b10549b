"""Generated crowds: owners with more in line than their limit of GPUs lets them run, and what is seen at the turnstile."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar
from unittest.mock import patch

from hypothesis import strategies as st

from scheduler.decision.decide import step
from scheduler.decision.ordering.queue import Line
from scheduler.decision.ordering.turns import Coming
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.decision.walking.limited import Fitting
from scheduler.decision.walking.turnstile import Turnstile
from scheduler.decision.walking.walk import Walk
from scheduler.domain.policy import Limits, Order, Policy, Project
from scheduler.domain.units import (
    MS_PER_HOUR,
    NodeName,
    PerMille,
    ProjectName,
    TeamName,
)
from scheduler.domain.workloads import Attempt, Workload
from tests.decision.builders import (
    A100,
    H100,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    balance,
    everything,
    node,
    nodes,
    policy,
    pool,
    snapshot,
    tier,
    workload,
)
from tests.decision.worlds import fitting, mostly

_K = TypeVar("_K")
_V = TypeVar("_V")

TEAM_OF = {"ada": "red", "bob": "red", "cyd": "blue", "dan": "blue"}


@contextmanager
def nobody_is_held() -> Iterator[None]:
    """A cycle that lets everybody in and looks at everybody, as there was before the turnstile."""
    is_judged_alone = patch.object(Fitting, "_judge_by_hours", lambda *_: False)
    with patch.object(Turnstile, "_is_quiet", lambda _: False), is_judged_alone:
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
            ageing_per_engineer=draw(mostly(2, 1)),
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
    """Owners with more in line than they may run at once, and room for many, or little beside what runs."""
    known = nodes(
        *(node(f"n{number}", 8) for number in range(draw(st.sampled_from([8, 2, 3])))),
        *(node(f"o{number}", 8, gpu_class=A100) for number in range(2)),
    )
    running = [draw(occupying(number, sorted(known))) for number in range(draw(st.sampled_from([0, 4, 8, 12])))]
    queued = [draw(waiting(number)) for number in range(draw(st.integers(2, 14)))]
    return snapshot(
        known,
        queued,
        attempts=fitting(running, known),
        by=draw(policies()),
        balances=[balance(owner, draw(mostly(1000, 9))) for owner in TEAM_OF],
        tiers={each.owner: draw(mostly(None, "small")) for each in queued},
    )


@st.composite
def occupying(draw: st.DrawFn, number: int, names: list[NodeName]) -> Attempt:
    """Somebody else's, or one of theirs: it may be in the way, and it may fall for what is more urgent."""
    owner, on = draw(mostly("eve", *TEAM_OF)), draw(st.sampled_from(names))
    team = TEAM_OF.get(owner, "blue")
    return attempt(
        f"r{number}",
        on,
        owner=owner,
        team=team,
        pool=team,
        gpus=draw(st.sampled_from([2, 4, 8])),
        gpu_class=H100 if on.startswith("n") else A100,
        priority_class=draw(mostly(URGENT, STANDARD, SPARE)),
        running_for=draw(st.sampled_from([60, 3000])),
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


@contextmanager
def seen() -> Iterator[list[str]]:
    """Who is held back at the turnstile meanwhile, and came to their lane at their turn, or once it was closed."""
    happened: list[str] = []
    admit, join = Turnstile.admit, Walk.join_lanes
    held: list[Line] = []

    def watched(self: Turnstile, coming: Sequence[Coming]) -> None:
        admit(self, coming)
        held.extend(line for together in self.held for line, _ in together.lines)
        happened.extend(["held"] * len(held))

    def joined(self: Walk) -> None:
        join(self)
        happened.extend(["came"] * sum(line.lane is not None for line in held))
        held.clear()

    with patch.object(Turnstile, "admit", watched), patch.object(Walk, "join_lanes", joined):
        yield happened


def launched(known: Snapshot) -> list[str]:
    """Who starts, in the order of the plan, which is the same if nobody is held."""
    plan = step(State(), everything(known), known.now)[1]
    with nobody_is_held():
        assert step(State(), everything(known), known.now)[1] == plan
    return [launch.workload_id for launch in plan.launches]


def at_the_limit(*queued: Workload, hours: float = 1000, limit: int = 8) -> Snapshot:
    """Ada may run eight GPUs, or so many, and there is room for more."""
    by = policy(pool("red", gpus=64), limits=Limits(gpus_per_engineer=limit))
    return snapshot(nodes(node("n1"), node("n2")), queued, by=by, balances=[balance("ada", hours)])


def first_in_first_out(limit: int) -> Policy:
    return policy(pool("red", gpus=64, order=Order.FIFO), limits=Limits(gpus_per_engineer=limit))
