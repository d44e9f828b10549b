"""The whole embedded service, its cluster, its clock and its company, driven by hand instead of by its loops: nothing
sleeps, and whatever the machine does beside it, the simulated hours are the same."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from scheduler.entrypoints import simulated
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import Settings
from scheduler.lifecycle.running.keep import keep_funded
from scheduler.lifecycle.writing.batch import changing
from tests.plugins.migrated import open_migrated

SOME_DAY_SECONDS = 1_795_000_000
FACTOR = 60


class HandTime(SimpleNamespace):
    """In the place of the module `time`, for the simulation alone: real seconds pass when the test says so."""

    elapsed = 0.0

    def time(self) -> float:
        return SOME_DAY_SECONDS + self.elapsed

    def monotonic(self) -> float:
        return self.elapsed


@contextmanager
def driven(folder: Path, monkeypatch: pytest.MonkeyPatch, *, seed: int = 1) -> Iterator[tuple[Service, HandTime]]:
    """The service as `make run` starts it, and the time that moves it."""
    hand_time = HandTime()
    monkeypatch.setattr(simulated, "time", hand_time)
    settings = Settings(factor=FACTOR, seed=seed, database=f"sqlite:///{folder}/allot.db")
    made = build(settings, store=open_migrated(settings.database))
    yield made, hand_time
    made.store.close()


async def begin(service: Service) -> None:
    await service.periodic.grant()
    service.cluster.use_gpu_classes(service.world.require_policy().gpu_classes)
    await service.cycle.watch_once()
    await service.cycle.run_once()


async def turn(service: Service) -> None:
    """What the loops do in a moment: people ask, the cluster reports, the cycle thinks, holds are renewed."""
    simulation = service.simulation
    assert simulation is not None
    simulation.submit_due(service.world, service.commands)
    if simulation.cluster.model.has_changes:
        await service.cycle.watch_once()
    service.cycle.wake()
    await service.cycle.run_once()
    await service.cycle.drain()
    await asyncio.to_thread(_keep, service)


def _keep(service: Service) -> None:
    with changing(service.store, service.world, service.clock.now()) as batch:
        keep_funded(batch)
