"""Processes where they have no business: recorded with evidence, and nobody is billed for them."""

from dataclasses import replace

import pytest

from scheduler.domain.idleness import MisuseTerms
from scheduler.domain.units import Instant, PodUid
from scheduler.metering.misuse import Misuse, MisuseKind
from scheduler.metering.windows import ProcessSeen, Window
from tests.lifecycle.agents import WINDOW_MS, Agents
from tests.lifecycle.build import Company, later


@pytest.fixture
def agents(company: Company) -> Agents:
    made = Agents(company)
    made.register()
    return made


def misuses(company: Company) -> list[Misuse]:
    with company.store.reading() as books:
        return books.samples.misuses(Instant(0))


def on_the_host(window: Window) -> Window:
    return replace(window, processes=(ProcessSeen(4242, 7, 1 << 30, 95, None, None, "miner"),), process_count_max=1)


def test_a_process_of_the_host_is_recorded_once_with_all_its_windows(company: Company, agents: Agents) -> None:
    company.now = later(company.now, 600)
    begun = company.now
    for number in range(1, 4):
        agents.post(on_the_host(agents.latest(1, number)))
        assert len(misuses(company)) == (0 if number == 1 else 1)
        company.now = later(company.now, 15)
    (told,) = misuses(company)
    assert (told.kind, told.pid, told.name, told.windows) == (MisuseKind.HOST_PROCESS, 4242, "miner", 3)
    assert (told.first_at, told.attempt_id, told.holder) == (begun - WINDOW_MS, None, None)
    assert agents.meter.strangers.told(company.now) == [told]


def test_an_attempt_on_another_s_gpu_is_recorded_and_the_gpu_stays_its_holder_s(
    company: Company, agents: Agents
) -> None:
    first, first_id = agents.start(gpus=1)
    second, second_id = agents.start(gpus=1)
    company.now = later(company.now, 30)
    agents.post(agents.latest(0, pods=agents.pod_of(first)))
    before = company.world.attempts[first_id].charged_gpu_ms
    for number in range(10, 14):
        company.now = later(company.now, 60)
        agents.post(agents.latest(0, number, pods=(*agents.pod_of(first), *agents.pod_of(second))))
    (told,) = misuses(company)
    assert (told.kind, told.attempt_id, told.holder) == (MisuseKind.OTHER_POD, second_id, first_id)
    assert company.world.holders[told.gpu_uuid] == first_id
    assert company.world.attempts[first_id].charged_gpu_ms == before


def test_nobody_is_accused_around_a_start(company: Company, agents: Agents) -> None:
    first, _ = agents.start(gpus=1)
    second, _ = agents.start(gpus=1)
    for number in (1, 2, 3):
        company.now = later(company.now, 15)
        agents.post(agents.latest(0, number, pods=(*agents.pod_of(first), *agents.pod_of(second))))
    assert misuses(company) == []
    assert agents.meter.strangers.told(company.now) == []


def test_policy_says_which_processes_of_the_host_may_be_there(company: Company, agents: Agents) -> None:
    policy = company.world.require_policy()
    company.world.put_policy(replace(policy, misuse=MisuseTerms(frozenset({"miner"}))))
    company.now = later(company.now, 600)
    for number in range(1, 4):
        agents.post(on_the_host(agents.latest(1, number)))
        company.now = later(company.now, 15)
    assert misuses(company) == []


def test_a_name_that_policy_allows_excuses_no_process_of_a_pod(company: Company, agents: Agents) -> None:
    policy = company.world.require_policy()
    company.world.put_policy(replace(policy, misuse=MisuseTerms(frozenset({"miner"}))))
    company.now = later(company.now, 600)
    for number in range(1, 4):
        seen = on_the_host(agents.latest(1, number))
        (process,) = seen.processes or ()
        agents.post(replace(seen, processes=(replace(process, pod_uid=PodUid("pod-of-nobody")),)))
        company.now = later(company.now, 15)
    assert [each.kind for each in misuses(company)] == [MisuseKind.OTHER_POD]
