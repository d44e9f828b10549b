"""Meter: windows are kept once, attributed to whoever has the GPU, and shown; charges are no business of theirs."""

from dataclasses import replace
from unittest.mock import patch

import pytest

from scheduler.adapters.sql.books.samples import SqlSamples
from scheduler.domain.errors import NotFound, RefusalCode, Unavailable
from scheduler.domain.units import AttemptId, GpuUuid, Instant, NodeName
from scheduler.metering.devices import Device, SensorState
from scheduler.metering.idle import IdleState
from scheduler.metering.samples import PodRef
from scheduler.metering.wire import inventory_json
from tests.lifecycle.agents import WINDOW_MS, Agents, agent_of, gpu, inventory, window
from tests.lifecycle.build import Company, later

N0 = "n0"


@pytest.fixture
def agents(company: Company) -> Agents:
    made = Agents(company)
    made.register()
    return made


def holders(company: Company) -> dict[GpuUuid, AttemptId]:
    return dict(company.world.readings.attempt_of_gpu)


def test_a_window_is_kept_shown_and_adds_to_its_hour(company: Company, agents: Agents) -> None:
    company.now = later(company.now, 60)
    accepted = agents.post(window(N0, 0, 1, Instant(company.now - WINDOW_MS)))
    assert (accepted.taken, accepted.duplicates, accepted.refused) == (1, 0, ())
    assert company.world.readings.windows[gpu(N0, 0)].sequence == 1
    with company.store.reading() as books:
        (kept,) = books.samples.windows([gpu(N0, 0)], Instant(0), company.now)
        (hour,) = books.samples.hours()
    assert (kept.use.percent_max, kept.state, kept.attempt_id) == (80, IdleState.ACTIVE, None)
    assert (hour.use.windows, hour.use.millijoules, hour.node) == (1, 400 * WINDOW_MS, N0)


def test_an_xid_is_remembered_for_those_who_ask_after_the_next_window(company: Company, agents: Agents) -> None:
    company.now = later(company.now, 60)
    begin = Instant(company.now - 2 * WINDOW_MS)
    agents.post(replace(window(N0, 0, 1, begin), xids=(31, 79)), window(N0, 0, 2, Instant(begin + WINDOW_MS)))
    shown = company.world.readings.sightings.xids.shown_with(company.world.readings.windows[gpu(N0, 0)])
    assert (shown.sequence, shown.xids) == (2, (79,))


def test_what_is_sent_again_is_absorbed(company: Company, agents: Agents) -> None:
    company.now = later(company.now, 60)
    first = window(N0, 0, 1, Instant(company.now - WINDOW_MS))
    agents.post(first)
    again = agents.post(first)
    assert (again.taken, again.duplicates, again.refused) == (0, 1, ())
    with company.store.reading() as books:
        assert [hour.use.windows for hour in books.samples.hours()] == [1]


def test_a_gpu_belongs_to_the_attempt_whose_pod_was_seen_on_it(company: Company, agents: Agents) -> None:
    workload, attempt_id = agents.start()
    company.now = later(company.now, 30)
    agents.post(agents.latest(1, pods=agents.pod_of(workload)), agents.latest(2))
    assert holders(company) == {gpu(N0, 1): attempt_id}


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_node_that_tells_of_a_pod_of_another_gives_it_no_gpu_and_no_fault(
    company: Company, agents: Agents, has_ended: bool
) -> None:
    agents.register("n1")
    workload, _ = agents.start()
    begun = company.now
    company.now = later(company.now, 600)
    if has_ended:
        agents.end(workload, begun, later(begun, 590))
    told = window("n1", 0, 1, Instant(company.now - WINDOW_MS), pods=agents.pod_of(workload))
    assert agents.post(replace(told, xids=(79,)), node="n1").taken == 1
    with company.store.reading() as books:
        (kept,) = books.samples.windows([gpu("n1", 0)], Instant(0), company.now)
        (fault,) = books.gpu_faults.since(Instant(0))
    assert (kept.attempt_id, fault.attempt_id, holders(company)) == (None, None, {})


def pod_ref(company: Company, attempt_id: AttemptId) -> PodRef:
    """Its pod, as the kubelet names it."""
    (run,) = company.world.pods[attempt_id].values()
    return PodRef(company.world.workloads[company.world.attempts[attempt_id].workload_id].namespace, run.name)


def test_the_kubelet_says_whose_a_gpu_is_before_any_process_runs(company: Company, agents: Agents) -> None:
    _, attempt_id = agents.start()
    company.now = later(company.now, 30)
    ours = pod_ref(company, attempt_id)
    agents.post(
        replace(agents.latest(2), granted=(ours,)),
        replace(agents.latest(3), granted=(PodRef("kube-system", "other"),)),
        replace(agents.latest(1), granted=()),
    )
    assert holders(company) == {gpu(N0, 2): attempt_id}


def test_a_process_of_another_pod_does_not_take_a_gpu_from_whom_it_was_given(
    company: Company, agents: Agents
) -> None:
    first, first_id = agents.start(gpus=1)
    _, second_id = agents.start(gpus=1)
    company.now = later(company.now, 30)
    agents.post(
        replace(agents.latest(0, pods=agents.pod_of(first)), granted=(pod_ref(company, second_id),)),
        replace(agents.latest(1), granted=(PodRef("gone", "lingers"), pod_ref(company, first_id))),
    )
    assert holders(company) == {gpu(N0, 0): second_id, gpu(N0, 1): first_id}


def test_a_gpu_shared_in_time_is_the_attempt_s_whose_process_is_there(company: Company, agents: Agents) -> None:
    first, first_id = agents.start(gpus=1)
    _, second_id = agents.start(gpus=1)
    company.now = later(company.now, 30)
    both = tuple(sorted(pod_ref(company, each) for each in (first_id, second_id)))
    agents.post(replace(agents.latest(0, pods=agents.pod_of(first)), granted=both))
    assert holders(company) == {gpu(N0, 0): first_id}


def test_a_pod_keeps_its_gpu_though_its_process_has_gone(company: Company, agents: Agents) -> None:
    workload, attempt_id = agents.start()
    company.now = later(company.now, 30)
    agents.post(agents.latest(1, pods=agents.pod_of(workload)))
    company.now = later(company.now, 15)
    agents.post(agents.latest(1, 2, percent=0, watts=70))
    assert holders(company) == {gpu(N0, 1): attempt_id}


def test_a_node_that_is_wholly_one_attempts_is_attributed_without_any_process(
    company: Company, agents: Agents
) -> None:
    _, attempt_id = agents.start(gpus=4)
    company.now = later(company.now, 30)
    agents.post(*(agents.latest(index) for index in range(4)))
    assert holders(company) == {gpu(N0, index): attempt_id for index in range(4)}


def test_a_gpu_of_an_attempt_that_ended_is_nobodys_again(company: Company, agents: Agents) -> None:
    workload, _ = agents.start()
    company.now = later(company.now, 30)
    agents.post(agents.latest(1, pods=agents.pod_of(workload)))
    agents.end(workload, later(company.now, -30), company.now)
    company.now = later(company.now, 15)
    agents.post(agents.latest(1, 2, percent=0, watts=70))
    assert holders(company) == {}


def test_a_window_that_comes_late_is_still_its_attempts(company: Company, agents: Agents) -> None:
    workload, attempt_id = agents.start()
    ran_until = later(company.now, 30)
    late = window(N0, 1, 1, Instant(ran_until - WINDOW_MS), pods=agents.pod_of(workload))
    started_at, company.now = company.now, later(ran_until, 3600)
    agents.end(workload, started_at, ran_until)
    agents.post(late)
    with company.store.reading() as books:
        assert books.samples.use_of([attempt_id])[attempt_id].windows == 1


def test_a_window_that_comes_late_is_of_whoever_had_the_gpu_at_its_end(company: Company, agents: Agents) -> None:
    """Both who shared it have ended since: there is nobody now whose it could be."""
    first, _ = agents.start()
    second, second_id = agents.start()
    began, changed = company.now, later(company.now, 20)
    both = agents.pod_of(first) + agents.pod_of(second)
    late = window(N0, 1, 1, later(began, 15), pods=both)
    company.now = later(began, 3600)
    agents.end(first, began, changed)
    agents.end(second, began, later(began, 60))
    agents.post(late)
    with company.store.reading() as books:
        assert books.samples.use_of([second_id])[second_id].windows == 1


def test_no_reading_touches_a_charge(company: Company, agents: Agents) -> None:
    workload, attempt_id = agents.start()
    before = company.world.attempts[attempt_id]
    company.now = later(company.now, 30)
    with company.store.reading() as books:
        entries = list(books.journal.entries())
    agents.post(agents.latest(1, pods=agents.pod_of(workload)))
    with company.store.reading() as books:
        assert list(books.journal.entries()) == entries
    assert company.world.attempts[attempt_id] == before


def test_what_an_agent_said_outlives_the_process(company: Company, agents: Agents) -> None:
    workload, attempt_id = agents.start()
    company.now = later(company.now, 30)
    agents.post(agents.latest(1, pods=agents.pod_of(workload)))
    fresh = type(company.world)()
    with company.store.reading() as books:
        fresh.load(books, company.now)
    assert fresh.readings.inventories == company.world.readings.inventories
    assert fresh.readings.attempt_of_gpu == {gpu(N0, 1): attempt_id}


def test_a_node_whose_sensing_stopped_keeps_its_devices(company: Company, agents: Agents) -> None:
    silent = replace(inventory(N0, company.now), sensor_state=SensorState.RESTARTING, devices=())
    kept = agents.meter.accept_inventory(agent_of(N0), silent.node, inventory_json(silent), now=company.now)
    assert kept.sensor_state is SensorState.RESTARTING
    assert len(kept.devices) == 4


def test_a_gpu_that_was_moved_belongs_to_its_new_node_once_the_old_one_lets_go(
    company: Company, agents: Agents
) -> None:
    agents.register("n1")
    moved = inventory("n1", company.now)
    claim = replace(moved, devices=(*moved.devices, replace(inventory(N0, company.now).devices[3], index=4)))
    first = agents.meter.accept_inventory(agent_of("n1"), claim.node, inventory_json(claim), now=company.now)
    assert len(first.devices) == 4
    agents.register(N0, gpus=3)
    second = agents.meter.accept_inventory(agent_of("n1"), claim.node, inventory_json(claim), now=company.now)
    assert [device.gpu_uuid for device in second.devices][-1] == gpu(N0, 3)
    with company.store.reading() as books:
        assert [(r.node, r.gpu_uuid, r.code, r.count) for r in books.samples.refusals()] == [
            ("n1", gpu(N0, 3), "foreign-gpu", 1)
        ]


def test_the_last_windows_of_a_gpu_that_is_gone_are_taken_after_the_inventory_without_it(
    company: Company, agents: Agents
) -> None:
    company.now = later(company.now, 60)
    agents.register(gpus=3)
    start = Instant(company.now - 2 * WINDOW_MS)
    accepted = agents.post(window(N0, 3, 1, start), window(N0, 3, 2, Instant(start + WINDOW_MS)))
    assert (accepted.taken, accepted.refused) == (2, ())


def test_windows_wait_for_a_node_of_which_only_a_sampler_without_devices_was_told(company: Company) -> None:
    made = Agents(company)
    company.now = later(company.now, 60)
    silent = replace(inventory(N0, company.now), sensor_state=SensorState.RESTARTING, devices=())
    made.meter.accept_inventory(agent_of(N0), silent.node, inventory_json(silent), now=company.now)
    waiting = window(N0, 0, 1, Instant(company.now - WINDOW_MS))
    with pytest.raises(NotFound) as refused:
        made.post(waiting)
    assert refused.value.code is RefusalCode.UNKNOWN_NODE
    made.register()
    assert made.post(waiting).taken == 1


def test_windows_that_were_not_committed_are_taken_when_they_come_again(company: Company, agents: Agents) -> None:
    """What a transaction made known of a device goes with it: else its windows would pass for duplicates."""
    company.now = later(company.now, 60)
    first = window(N0, 0, 1, Instant(company.now - WINDOW_MS))
    with patch.object(SqlSamples, "add", side_effect=Unavailable("full")), pytest.raises(Unavailable):
        agents.post(first)
    again = agents.post(first)
    assert (again.taken, again.duplicates, again.refused) == (1, 0, ())


def test_a_gpu_that_moved_belongs_to_its_new_node_from_its_inventory_on(company: Company, agents: Agents) -> None:
    company.now = later(company.now, 60)
    agents.post(window(N0, 0, 1, Instant(company.now - WINDOW_MS)))
    agents.register(gpus=0)
    moved = replace(inventory("n1", company.now), devices=(Device(gpu(N0, 0), 0, "H100", 80 << 30),))
    agents.meter.accept_inventory(agent_of("n1"), NodeName("n1"), inventory_json(moved), now=company.now)
    company.now = later(company.now, 60)
    there = replace(window(N0, 0, 2, Instant(company.now - WINDOW_MS)), node=NodeName("n1"))
    assert agents.post(there, node="n1").taken == 1
    here = agents.post(window(N0, 0, 3, Instant(company.now - WINDOW_MS // 2)))
    assert [refused.code for refused in here.refused] == ["foreign-gpu"]
