"""What an agent tells Prometheus: every name documented, each value only where it was read."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from scheduler.adapters.window_spool import WindowSpool
from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.entrypoints.agent.metrics import AgentCollector, AgentState
from scheduler.entrypoints.agent.recorder import Recorder
from scheduler.metering.devices import AgentCounts, Device, Health, SensorState
from scheduler.metering.integration import Integration
from scheduler.metering.samples import Reading, Sample

DOCUMENTED = (Path(__file__).parents[3] / "docs" / "nvml.md").read_text()
N, GPU, NOW = NodeName("n0"), GpuUuid("GPU-a"), Instant(1_795_214_210_000)
STATE = AgentState(N, NOW, 60_000, 200_000, AgentCounts(waiting=3, lost=2), SensorState.OK, sent_at=None)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    with closing(WindowSpool(tmp_path / "spool.db", 100)) as spool:
        yield Recorder(spool, Integration(N, "boot", window_ms=15_000, gap_ms=12_500))


def read(recorder: Recorder, **values: object) -> None:
    for ms in range(0, 20_000, 5_000):
        sample = replace(Sample(GPU, Instant(NOW - 15_000 + ms)), **values)  # type: ignore[arg-type]
        device = Device(GPU, 0, "H100", None, health=sample.health)
        recorder.record(Reading(sample.at, True, devices=(device,), samples=(sample,)))


def told(recorder: Recorder, state: AgentState = STATE) -> dict[str, list[float]]:
    registry = CollectorRegistry()
    registry.register(AgentCollector(recorder, lambda: state))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {family.name: [sample.value for sample in family.samples] for family in families}


def test_every_metric_of_an_agent_is_documented(recorder: Recorder) -> None:
    read(recorder)
    names = set(told(recorder))
    assert len(names) > 20
    assert {name for name in names if f"`{name}`" not in DOCUMENTED} == set()


def test_before_the_first_reading_an_agent_tells_of_itself_alone(recorder: Recorder) -> None:
    names = told(recorder)
    assert not [name for name in names if not name.startswith("allot_agent_")]
    assert (names["allot_agent_spool_windows"], names["allot_agent_windows_lost"]) == ([3], [2])
    assert "allot_agent_last_sent_timestamp_seconds" not in names


def test_what_was_not_read_has_no_series(recorder: Recorder) -> None:
    read(recorder)
    series = told(recorder)
    assert {name for name, values in series.items() if name.startswith(("DCGM", "allot_gpu")) and values} == {
        "DCGM_FI_DEV_XID_ERRORS",
        "allot_gpu_healthy",
    }


def test_a_lost_gpu_is_unhealthy_and_none_of_its_values_is_zero(recorder: Recorder) -> None:
    read(recorder, health=Health.UNHEALTHY)
    series = told(recorder)
    assert series["allot_gpu_healthy"] == [0]
    assert not [name for name, values in series.items() if name.startswith("DCGM") and values]


def test_readings_of_a_while_ago_are_no_readings(recorder: Recorder) -> None:
    read(recorder, energy_millijoules=5)
    assert told(recorder)["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == [5]
    late = replace(STATE, now=Instant(NOW + 61_000), sensor_state=SensorState.STUCK)
    series = told(recorder, late)
    assert not [name for name, values in series.items() if name.startswith(("DCGM", "allot_gpu")) and values]
    assert series["allot_agent_sensor_state"] == [0, 0, 0, 1]


def recorded(recorder: Recorder, device: Device, xid_at_ms: int, until_ms: int) -> None:
    for ms in range(0, until_ms + 1, 5_000):
        xids = (79,) if ms == xid_at_ms else ()
        sample = Sample(device.gpu_uuid, Instant(NOW + ms), xids=xids)
        recorder.record(Reading(sample.at, True, devices=(device,), samples=(sample,)))


@pytest.mark.parametrize(("minutes", "shown"), [(1, 79), (5, 79), (6, 0)])
def test_an_xid_is_shown_for_five_minutes_however_seldom_anybody_asks(
    recorder: Recorder, minutes: int, shown: int
) -> None:
    recorded(recorder, Device(GPU, 0, "H100", None), 10_000, minutes * 60_000)
    state = replace(STATE, now=Instant(NOW + minutes * 60_000))
    assert told(recorder, state)["DCGM_FI_DEV_XID_ERRORS"] == [shown]


def test_an_instance_of_which_no_xid_is_told_is_not_one_without(recorder: Recorder) -> None:
    recorded(recorder, Device(GPU, 0, "H100", None, parent_uuid=GpuUuid("GPU-whole")), -1, 30_000)
    assert told(recorder, replace(STATE, now=Instant(NOW + 30_000)))["DCGM_FI_DEV_XID_ERRORS"] == []
