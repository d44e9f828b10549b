"""The loop of simulated agents: what a busy machine made late is read later, and is no silence of theirs."""

from pathlib import Path

import pytest

from scheduler.domain.people import Caller, Role
from scheduler.entrypoints.simulated_agents import CAUGHT_UP_MAX, SimulatedAgentLoop
from scheduler.metering.idle import IdleState
from tests.e2e.hand_driven import FACTOR, begin, driven, turn


@pytest.mark.parametrize(
    ("late_seconds", "is_gap"),
    [(CAUGHT_UP_MAX - 1, False), (3 * CAUGHT_UP_MAX, True)],
    ids=["made up for", "too late"],
)
async def test_a_round_that_is_late_reads_what_it_missed(
    late_seconds: int, is_gap: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with driven(tmp_path, monkeypatch) as (service, hand_time):
        assert service.simulation is not None
        began = service.clock.now()
        await begin(service)
        agents = SimulatedAgentLoop(service.simulation.cluster, service.clock, service.meter, FACTOR)
        agents.period_seconds = 0.0  # no pause between the nodes
        await agents.run_once()
        hand_time.elapsed += late_seconds
        await agents.run_once()
        assert service.world.readings.windows
        with service.store.reading() as books:
            kept = [
                each
                for uuid in service.world.readings.windows
                for each in books.samples.windows([uuid], began, service.clock.now())
            ]
        assert any(each.state is IdleState.UNKNOWN for each in kept) == is_gap


async def test_after_a_crash_nothing_is_read_again_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated time then goes on from when it was saved last, which is before the last windows."""
    with driven(tmp_path, monkeypatch) as (service, hand_time):
        simulation = service.simulation
        assert simulation is not None
        began = service.clock.now()
        await begin(service)

        async def agents(seconds: int) -> None:
            loop = SimulatedAgentLoop(simulation.cluster, service.clock, service.meter, FACTOR)
            loop.period_seconds = 0.0
            for _ in range(seconds):
                await loop.run_once()
                hand_time.elapsed += 1

        await agents(8)
        hand_time.elapsed -= 4
        await agents(24)
        with service.store.reading() as books:
            kept = books.samples.windows(service.world.readings.windows, began, service.clock.now())
            assert books.samples.refusals() == []
        assert max(each.end for each in kept) > began + 20 * FACTOR * 1_000


async def test_what_ended_while_a_round_was_late_is_on_its_gpus_as_long_as_it_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with driven(tmp_path, monkeypatch) as (service, hand_time):
        assert service.simulation is not None
        began = service.clock.now()
        await begin(service)
        agents = SimulatedAgentLoop(service.simulation.cluster, service.clock, service.meter, FACTOR)
        agents.period_seconds = 0.0
        for second in range(70):
            hand_time.elapsed += 1
            await turn(service)
            if not 20 <= second < 60:
                await agents.run_once()
        with service.store.reading() as books:
            ended = books.attempts.ended_since(began)
        finance = Caller("olga", frozenset({Role.FINANCE}))
        found = service.periods.reconciliation(finance, "2026-W47", service.clock.now())
        assert len(ended) > 20
        assert [(each.detail, each.subject, each.gpu_ms) for each in found.differences] == []
