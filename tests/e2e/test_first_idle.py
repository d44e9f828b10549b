"""Whatever the seed, `make run` shows within two minutes an idle sandbox that is warned, suspended and refunded: sixty
times faster than real time, those are two simulated hours."""

import os
from pathlib import Path

import pytest

from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_MINUTE
from scheduler.entrypoints.simulated_agents import SimulatedAgentLoop
from scheduler.lifecycle.writing.batch import changing
from tests.e2e.hand_driven import FACTOR, begin, driven, turn

WARNED_MINUTES, SUSPENDED_MINUTES = 50, 90
"""Simulated. The two real minutes also hold the start and what a busy machine is late by."""

SEEDS = range(1, 9) if os.environ.get("HYPOTHESIS_PROFILE") == "searching" else (1,)
"""That of `make run`; the others in `make nightly`."""


@pytest.mark.parametrize("seed", SEEDS)
async def test_an_idle_sandbox_is_warned_and_suspended_within_the_first_minutes(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with driven(tmp_path, monkeypatch, seed=seed) as (service, hand_time):
        assert service.simulation is not None
        began = service.clock.now()
        await begin(service)
        agents = SimulatedAgentLoop(service.simulation.cluster, service.clock, service.meter, FACTOR)
        agents.period_seconds = 0.0  # no pause between the nodes
        warned_minute = None
        while True:
            hand_time.elapsed += MS_PER_MINUTE / 1_000 / FACTOR
            minute = (service.clock.now() - began) // MS_PER_MINUTE
            assert minute <= SUSPENDED_MINUTES, "nobody was suspended"
            await turn(service)
            await agents.run_once()
            with changing(service.store, service.world, service.clock.now()) as batch:
                reclaimed = service.idle_reclaim.run(batch)
            if reclaimed.warned and warned_minute is None:
                warned_minute = minute
            if reclaimed.stopped:
                break
        assert warned_minute is not None
        assert warned_minute <= WARNED_MINUTES
        with service.store.reading() as books:
            decision = next(each for each in books.idleness.decisions() if each.is_taken)
            verdicts = {each.reason for each in books.verdicts.of_workload(decision.workload_id)}
        assert decision.hours_back > 0
        assert {Reason.IDLE_WARNING, Reason.IDLE} <= verdicts
