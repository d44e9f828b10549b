"""An incremental cycle does not grow with what did not change: counted in lines of code executed, which no clock blurs."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

from scheduler.decision import decide as module
from scheduler.decision.decide import step
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.domain.units import Instant
from scheduler.domain.workloads import Workload
from tests.decision.applying import recorded
from tests.decision.builders import (
    NOW,
    SPARE,
    STANDARD,
    attempt,
    balance,
    everything,
    node,
    policy,
    pool,
    snapshot,
    workload,
)

NODES = 4
FOLDER = module.__file__.rsplit("/", 1)[0]


def test_a_step_where_gpus_are_short_executes_as_much_code_whether_hundreds_wait_or_thousands() -> None:
    few, many = _steps(waiting=200), _steps(waiting=2000)

    assert few.plans == many.plans, "the same few are first, whoever waits behind them"
    assert sum(len(plan.launches) for plan in few.plans) > 2
    # The logarithm of a search among sorted lines is all that may grow.
    assert many.executed < few.executed * 1.1


class _Counted:
    """What some steps planned, and how many lines of the decision's code they executed."""

    def __init__(self) -> None:
        self.executed = 0
        self.plans: list[Plan] = []

    def step(self, state: State, changes: Changes, now: Instant) -> Plan:
        before = sys.gettrace()
        sys.settrace(self._entered)
        try:
            plan = step(state, changes, now)[1]
        finally:
            sys.settrace(before)
        self.plans.append(replace(plan, verdicts=()))
        return plan

    def _entered(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return self._line if frame.f_code.co_filename.startswith(FOLDER) else None

    def _line(self, _frame: FrameType, event: str, _argument: object) -> Any:
        self.executed += event == "line"
        return self._line


def _steps(*, waiting: int) -> _Counted:
    """A full cluster for which a gang waits first, so that room is kept for it, and behind it many owners with work of
    several sizes and lengths; then GPUs come free one after the other, and whoever starts is recorded."""
    world = _world(waiting)
    state = State()
    settled = step(state, everything(world), world.now)[1]
    assert settled.launches == ()
    step(state, Changes(), world.now)
    counted = _Counted()
    changes = Changes()
    for number in range(6):
        now = Instant(NOW + 1000 * (number + 1))
        ended = f"r{number}/1"
        attempts = dict.fromkeys(key for key in world.attempts if key == ended)
        world = replace(world, now=now, attempts={k: v for k, v in world.attempts.items() if k != ended})
        plan = counted.step(state, replace(changes, attempts={**changes.attempts, **attempts}), now)
        after = recorded(world, plan)
        changes, world = _between(world, after), after
    return counted


def _between(before: Snapshot, after: Snapshot) -> Changes:
    return Changes(
        attempts={key: each for key, each in after.attempts.items() if key not in before.attempts},
        queued={key: None for key in before.queued if key not in after.queued},
        balances={key: each for key, each in after.balances.items() if before.balances[key] != each},
    )


def _world(waiting: int) -> Snapshot:
    running = [attempt(f"r{n}", f"n{n % NODES}", gpus=2, running_for=60 * (n + 1)) for n in range(NODES * 4)]
    gang = workload("a-gang", owner="gus", gpus=8, pods=2, hours=5, age=90_000)
    owners = [f"owner{number}" for number in range(waiting // 4)]
    queued = [gang, *(each for number, owner in enumerate(owners) for each in _work_of(owner, number))]
    return snapshot(
        {each.name: each for each in (node(f"n{number}") for number in range(NODES))},
        queued,
        attempts=running,
        balances=[balance(owner) for owner in ["gus", *owners]],
        by=policy(pool("red", gpus=24, cohort="all"), pool("blue", gpus=24, cohort="all")),
    )


def _work_of(owner: str, number: int) -> Iterator[Workload]:
    team = ("red", "blue")[number % 2]
    for position, (gpus, hours) in enumerate(((1, 0.2), (2, 0.5), (1, 5), (4, 30))):
        yield workload(
            f"w{number:05d}-{position}",
            owner=owner,
            team=team,
            gpus=gpus,
            hours=hours,
            age=80_000 - number,
            priority_class=SPARE if position == 1 else STANDARD,
        )
