"""Processes where they have no business: recorded with evidence, and nobody is billed for them."""

from dataclasses import replace

import pytest

from scheduler.domain.idleness import MisuseTerms
from scheduler.domain.reasons import Reason
from scheduler.domain.units import Instant, PodUid
from scheduler.lifecycle.running.tell import due_to_tell
from scheduler.lifecycle.sensing.warning import words_about
from scheduler.lifecycle.views.misuses import WorkView
from scheduler.lifecycle.views.reader import Views
from scheduler.metering.misuse import Misuse, MisuseKind
from scheduler.metering.samples import PodRef
from scheduler.metering.windows import ProcessSeen, Window
from tests.lifecycle.agents import WINDOW_MS, Agents
from tests.lifecycle.build import OPERATOR, Company, later


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
    (shown,) = Views(company.store, company.world).misuses(OPERATOR, company.now).items
    owner = company.world.people[second.owner].name
    assert shown.work == WorkView(second.id, second.spec.name, owner)
    assert shown.holder_work == WorkView(first.id, first.spec.name, owner)
    assert company.world.readings.attempt_of_gpu[told.gpu_uuid] == first_id
    assert company.world.attempts[first_id].charged_gpu_ms == before


def test_both_jobs_concerned_are_told_once_by_an_event_that_names_nobody(company: Company, agents: Agents) -> None:
    first, _ = agents.start(gpus=1)
    second, second_id = agents.start(gpus=1)
    company.now = later(company.now, 30)
    agents.post(agents.latest(0, pods=agents.pod_of(first)))
    told = []
    for number in range(10, 14):
        company.now = later(company.now, 60)
        agents.post(agents.latest(0, number, pods=(*agents.pod_of(first), *agents.pod_of(second))))
        told += [word for word in due_to_tell(company.world, company.now, 100) if not word.is_status]
    (misuse,) = misuses(company)
    assert misuse.attempt_id == second_id
    assert {(word.job_name, word.reason, word.is_event) for word in told} == {
        (second.job_name, Reason.MISUSE, True),
        (first.job_name, Reason.INTRUDED, True),
    }
    assert len(told) == 2
    assert all(misuse.gpu_uuid in word.message for word in told)
    to_holder = next(word for word in told if word.reason is Reason.INTRUDED)
    assert second.id not in to_holder.message
    assert str(misuse.pid) not in to_holder.message


def test_all_who_share_a_gpu_in_time_are_told_of_who_is_there_besides(company: Company, agents: Agents) -> None:
    sharing = [agents.start(gpus=1) for _ in range(2)]
    company.now = later(company.now, 600)
    runs = [(work.namespace, run) for work, id_ in sharing for run in company.world.pods[id_].values()]
    granted = tuple(sorted(PodRef(namespace, run.name) for namespace, run in runs))
    for number in (1, 2):
        agents.post(replace(on_the_host(agents.latest(0, number)), granted=granted))
        company.now = later(company.now, 15)
    told = [word for word in due_to_tell(company.world, company.now, 100) if not word.is_status]
    assert {(word.job_name, word.reason) for word in told} == {
        (workload.job_name, Reason.INTRUDED) for workload, _ in sharing
    }


def test_what_looks_like_mining_is_for_operators_alone(company: Company, agents: Agents) -> None:
    workload, attempt_id = agents.start(gpus=1)
    seen = agents.latest(0, pods=agents.pod_of(workload))
    suspected = Misuse(
        MisuseKind.SUSPECTED_MINING,
        *(seen.node, seen.gpu_uuid, 4242, 7, "xmrig", None),
        attempt_id=attempt_id,
        holder=None,
        first_at=seen.start,
        last_at=seen.end,
        windows=200,
    )
    assert words_about(company.world, suspected, ()) == []
    assert words_about(company.world, replace(suspected, kind=MisuseKind.OTHER_POD), ())


def test_nobody_is_accused_around_a_start(company: Company, agents: Agents) -> None:
    first, _ = agents.start(gpus=1)
    second, _ = agents.start(gpus=1)
    for number in (1, 2, 3):
        company.now = later(company.now, 15)
        agents.post(agents.latest(0, number, pods=(*agents.pod_of(first), *agents.pod_of(second))))
    assert misuses(company) == []
    assert agents.meter.strangers.told(company.now) == []


def test_whoever_was_there_before_a_start_is_accused_in_its_grace_and_nobody_who_came_with_it(
    company: Company, agents: Agents
) -> None:
    """A node on which something starts every minute is never out of a grace."""
    newcomer = ProcessSeen(5151, 9, 1 << 30, 95, None, None, "newcomer")
    for number in range(1, 13):
        if number % 3 == 1:
            agents.start(gpus=1)
        company.now = later(company.now, 15)
        seen = on_the_host(agents.latest(1, number))
        if number >= 10:
            seen = replace(seen, processes=(*(seen.processes or ()), newcomer), process_count_max=2)
        agents.post(seen)
    (found,) = misuses(company)
    assert (found.name, found.windows) == ("miner", 5)
    assert found.last_at - found.first_at == 12 * WINDOW_MS


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


def test_policy_says_which_processes_of_pods_outside_may_be_there(company: Company, agents: Agents) -> None:
    """The MPS server of the device plugin runs in a pod that nobody gave a GPU to."""
    policy = company.world.require_policy()
    company.world.put_policy(replace(policy, misuse=MisuseTerms(allowed_in_pods=frozenset({"miner"}))))
    company.now = later(company.now, 600)
    for number in range(1, 4):
        seen = on_the_host(agents.latest(1, number))
        (process,) = seen.processes or ()
        inside = replace(process, pod_uid=PodUid("pod-of-the-plugin"))
        agents.post(
            replace(seen, granted=(), processes=(inside, replace(inside, pid=7, name="other")), process_count_max=2)
        )
        company.now = later(company.now, 15)
    assert {each.name for each in misuses(company)} == {"other"}
