"""What `make run` shows within its first minute: sixty times faster than real time, that is the first simulated hour."""

from collections import Counter
from pathlib import Path

import pytest

from scheduler.domain.brakes import Brake
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR
from tests.e2e.hand_driven import begin, driven, turn

STEP_SECONDS = 1.0
STEPS = 60


async def test_budgets_run_low_and_priorities_collide_within_the_first_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with driven(tmp_path, monkeypatch) as (service, hand_time):
        simulation = service.simulation
        assert simulation is not None
        began = service.clock.now()
        await begin(service)
        said: Counter[Reason] = Counter()
        for _ in range(STEPS):
            hand_time.elapsed += STEP_SECONDS
            await turn(service)
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
