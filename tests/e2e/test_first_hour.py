"""What `make run` shows within its first minute: sixty times faster than real time, that is the first simulated hour.

The whole embedded service, its cluster, its clock and its company, driven by hand instead of by its loops: nothing
sleeps, and whatever the machine does beside it, the hour is the same.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from scheduler.domain.brakes import Brake
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR
from scheduler.entrypoints import simulated
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import Settings
from scheduler.entrypoints.simulated import Simulation
from scheduler.lifecycle.running.keep import keep_funded
from scheduler.lifecycle.writing.batch import changing
from tests.plugins.migrated import open_migrated

SOME_DAY_SECONDS = 1_795_000_000
FACTOR = 60
STEP_SECONDS = 1.0
STEPS = 60


class HandTime(SimpleNamespace):
    """In the place of the module `time`, for the simulation alone: real seconds pass when the test says so."""

    elapsed = 0.0

    def time(self) -> float:
        return SOME_DAY_SECONDS + self.elapsed

    def monotonic(self) -> float:
        return self.elapsed


@pytest.fixture
def hand_time(monkeypatch: pytest.MonkeyPatch) -> HandTime:
    made = HandTime()
    monkeypatch.setattr(simulated, "time", made)
    return made


@pytest.fixture
def service(hand_time: HandTime, tmp_path: Path) -> Iterator[Service]:
    """As `make run` starts it."""
    settings = Settings(factor=FACTOR, database=f"sqlite:///{tmp_path}/allot.db")
    made = build(settings, store=open_migrated(settings.database))
    yield made
    made.store.close()


async def test_budgets_run_low_and_priorities_collide_within_the_first_minute(
    service: Service, hand_time: HandTime
) -> None:
    simulation = service.simulation
    assert simulation is not None
    began = service.clock.now()
    await service.periodic.grant()
    service.cluster.use_gpu_classes(service.world.require_policy().gpu_classes)
    await service.cycle.watch_once()
    await service.cycle.run_once()
    said: Counter[Reason] = Counter()
    for _ in range(STEPS):
        hand_time.elapsed += STEP_SECONDS
        await _turn(service, simulation)
        assert service.cycle.last_plan is not None
        said.update(verdict.reason for verdict in service.cycle.last_plan.verdicts)
    assert service.clock.now() == began + MS_PER_HOUR
    with service.store.reading() as books:
        preempted = [stop for stop in books.control.stops(began) if stop.brake is Brake.PREEMPT]
    assert preempted, "somebody's work gave way to somebody else's"
    assert said[Reason.AWAITING_PREEMPTION]
    assert said[Reason.ALLOWANCE_SHORT], "somebody's hours do not reach for what they ask"
    assert said[Reason.PRIORITY] + said[Reason.RESOURCES], "more is asked for than there is"
    assert said[Reason.LAUNCHING] > 100
    assert not simulation.refused, "what is asked for is what may be asked for"


async def _turn(service: Service, simulation: Simulation) -> None:
    """What the loops do in a moment: people ask, the cluster reports, the cycle thinks, holds are renewed."""
    simulation.submit_due(service.world, service.commands)
    if simulation.cluster.model.has_changes:
        await service.cycle.watch_once()
    service.cycle.wake()
    await service.cycle.run_once()
    await service.cycle.drain()
    await asyncio.to_thread(_keep, service)


def _keep(service: Service) -> None:
    with changing(service.store, service.world, service.clock.now()) as batch:
        keep_funded(batch, service.ids.new)
