"""The inbox of the cycle: everything in its order, nothing lost; and what is decided is sent as soon as it is written."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

import pytest

from scheduler.domain.actions import Action, ActionOutcome, ActionResult, CreateJob, LaunchJob, TellJob
from scheduler.domain.cluster import GpuClass, Placement
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import ClusterChanges, ObservedJob
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, AttemptId, Instant, JobUid, NodeName, PerMille
from scheduler.domain.workloads import Workload, WorkloadState
from scheduler.lifecycle import cycle as cycle_module
from scheduler.lifecycle import inbox as inbox_module
from scheduler.lifecycle.cycle import Cycle
from scheduler.lifecycle.inbox import Inbox
from scheduler.ports import Books, Store
from tests.entrypoints.company import SilentCluster
from tests.lifecycle.build import H100, NOON, Company, changes, job_seen, job_spec, later, pod_seen


class QuietCluster(SilentCluster):
    """Reports nothing, without a wait, and never answers."""

    async def changes(self, timeout_seconds: float) -> ClusterChanges:
        del timeout_seconds
        return ClusterChanges()

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        del actions
        return []


class NewsCluster(QuietCluster):
    """Reports what it is given to report."""

    def __init__(self) -> None:
        self.news = ClusterChanges()

    async def changes(self, timeout_seconds: float) -> ClusterChanges:
        del timeout_seconds
        return self.news


class AnsweringCluster(QuietCluster):
    """Answers at once, and always the same."""

    def __init__(self, result: ActionResult) -> None:
        self._result = result

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        return [ActionOutcome(action, self._result) for action in actions]


class BusyCluster(QuietCluster):
    """Answers once it is let, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.may_answer = asyncio.Event()

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        self.asked.append([type(action).__name__ for action in actions])
        await self.may_answer.wait()
        return [ActionOutcome(action, ActionResult.DONE) for action in actions]


class Noting:
    """The company's store, which notes each transaction that was written."""

    def __init__(self, store: Store, noted: list[str]) -> None:
        self._store = store
        self._noted = noted

    @contextmanager
    def writing(self) -> Iterator[Books]:
        with self._store.writing() as books:
            yield books
        self._noted.append("written")

    def reading(self) -> AbstractContextManager[Books]:
        return self._store.reading()

    def close(self) -> None:
        self._store.close()


class Standing:
    """A clock at which nothing passes."""

    is_simulated = False

    def __init__(self, company: Company) -> None:
        self._company = company

    def now(self) -> Instant:
        return self._company.now

    def seconds_until(self, instant: Instant) -> float:
        return max(0, instant - self._company.now) / 1000


def cycle_of(company: Company, noted: list[str]) -> Cycle:
    store = Noting(company.store, noted)
    return Cycle(store, company.world, QuietCluster(), Standing(company), company.ids, company.commands)


def launched(workload: Workload) -> ActionOutcome:
    placement = Placement(((NodeName("n0"), 1),))
    return ActionOutcome(
        LaunchJob(workload, AttemptId("a"), JobUid("u"), 1, GpuClass(H100, PerMille(1000)), placement),
        ActionResult.DONE,
    )


async def test_limits_are_looked_at_every_half_second_however_many_cycles_there_are(company: Company) -> None:
    grant, workload = company.grant("ada", 10), company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=company.now)))
    over_at, cycle = later(company.now, 2 * 3600), cycle_of(company, [])
    states = []
    for moment in (-100, 0, 399, 400):
        company.now = Instant(over_at + moment)
        cycle.wake()
        await cycle.run_once()
        states.append(company.workload(workload.id).state)
    assert states == [WorkloadState.RUNNING, WorkloadState.RUNNING, WorkloadState.RUNNING, WorkloadState.STOPPING]


async def test_few_calls_are_under_way_at_once_and_a_launch_goes_before_what_waits(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle_module, "ACTIONS_AT_ONCE", 2)
    monkeypatch.setattr(cycle_module, "CALLS_AT_ONCE", 2)
    cluster = BusyCluster()
    cycle = Cycle(company.store, company.world, cluster, Standing(company), company.ids, company.commands)
    company.grant("ada", 100)
    workloads = [company.submit() for _ in range(7)]

    cycle._send([CreateJob(workload, GpuClass(H100, PerMille(1000))) for workload in workloads])
    cycle._send([launched(workloads[0]).action])
    await asyncio.sleep(0)
    assert cluster.asked == [["CreateJob", "CreateJob"]] * 2

    cluster.may_answer.set()
    while cycle._running:
        await asyncio.sleep(0)
    assert cluster.asked[2:] == [["LaunchJob"], ["CreateJob", "CreateJob"], ["CreateJob"]]
    assert len(cycle._inbox.outcomes) == 8


async def test_what_was_still_to_be_sent_at_the_end_is_left_to_the_next_start(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle_module, "ACTIONS_AT_ONCE", 1)
    monkeypatch.setattr(cycle_module, "CALLS_AT_ONCE", 1)
    cluster = BusyCluster()
    cycle = Cycle(company.store, company.world, cluster, Standing(company), company.ids, company.commands)
    company.grant("ada", 100)
    cycle._send([CreateJob(company.submit(), GpuClass(H100, PerMille(1000))) for _ in range(3)])
    cluster.may_answer.set()
    await cycle.drain()
    assert len(cluster.asked) == 1


async def test_a_call_that_has_just_ended_is_not_waited_for_for_ever(company: Company) -> None:
    cluster = BusyCluster()
    cycle = Cycle(company.store, company.world, cluster, Standing(company), company.ids, company.commands)
    company.grant("ada", 100)
    cycle._send([CreateJob(company.submit(), GpuClass(H100, PerMille(1000)))])
    await asyncio.sleep(0)
    cluster.may_answer.set()
    await asyncio.sleep(0)
    assert [task.done() for task in cycle._running] == [True]
    await cycle.drain()
    assert cycle._running == set()


async def test_news_for_which_nobody_waits_has_no_cycle_of_its_own_right_after_another(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle_module, "LONGEST_WAIT_SECONDS", 0.01)
    cluster = NewsCluster()
    cycle = Cycle(company.store, company.world, cluster, Standing(company), company.ids, company.commands)
    job = ObservedJob(JobUid("u"), "theirs", "elsewhere", 1, NOON, is_suspended=True)

    cluster.news = ClusterChanges(jobs={job.uid: job})
    await cycle.watch_once()
    async with asyncio.timeout(10):
        await cycle._wake.wait()  # at once after a rest: nothing else sets it
    await cycle.run_once()
    monkeypatch.setattr(cycle_module, "BREATH_SECONDS", 3600)
    await cycle.watch_once()
    is_at_once_after_another = cycle._wake.is_set()
    cluster.news = ClusterChanges(jobs={job.uid: replace(job, is_suspended=False, is_complete=True)})
    await cycle.watch_once()

    assert not is_at_once_after_another
    assert cycle._wake.is_set()
    assert len(cycle._inbox.changes) == 2


@pytest.mark.parametrize(
    ("result", "presses"), [(ActionResult.DONE, False), (ActionResult.RETRY, True), (ActionResult.GONE, True)]
)
async def test_a_launch_that_was_done_waits_for_company_and_one_that_was_not_is_looked_at_at_once(
    company: Company, monkeypatch: pytest.MonkeyPatch, result: ActionResult, *, presses: bool
) -> None:
    monkeypatch.setattr(cycle_module, "BREATH_SECONDS", 3600)
    cluster = AnsweringCluster(result)
    cycle = Cycle(company.store, company.world, cluster, Standing(company), company.ids, company.commands)
    cycle._began = asyncio.get_running_loop().time()
    company.grant("ada", 100)

    cycle._send([launched(company.submit()).action])
    await cycle.drain()

    assert [outcome.result for outcome in cycle._inbox.outcomes] == [result]
    assert cycle._wake.is_set() == presses


async def test_a_cycle_comes_round_though_nothing_wakes_it_and_waits_a_second_at_most(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cycle_module.LONGEST_WAIT_SECONDS <= 1
    monkeypatch.setattr(cycle_module, "LONGEST_WAIT_SECONDS", 0.01)
    noted: list[str] = []
    cycle = cycle_of(company, noted)
    company.grant("ada", 100)
    company.submit()
    noted.clear()
    assert len((await cycle.run_once()).plan.launches) == 1
    assert noted == ["written"]
    assert (await cycle.run_once()).plan.is_empty


async def test_submissions_under_way_go_before_each_of_a_cycles_transactions(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[str] = []
    cycle = cycle_of(company, noted)
    company.grant("ada", 100)
    company.submit()
    monkeypatch.setattr(company.commands, "give_way", lambda: noted.append("gave way"))
    await cycle.run_once()
    assert noted == ["gave way", "gave way", "gave way", "written"]


@pytest.mark.parametrize("asks", [True, False])
async def test_a_cycle_that_was_asked_for_more_while_it_thought_rests_longer(
    company: Company, monkeypatch: pytest.MonkeyPatch, *, asks: bool
) -> None:
    rested: list[bool] = []

    def no_rest(took: float, *, is_asked: bool) -> float:
        rested.append(is_asked)
        return 0.0

    monkeypatch.setattr(cycle_module, "rest_seconds", no_rest)
    cycle = cycle_of(company, [])
    cycle.wake()
    if asks:
        cycle.report = lambda _: cycle.wake()
    await cycle.run_once()
    assert rested == [asks]


def test_what_a_failed_cycle_had_taken_comes_first_again() -> None:
    tell = TellJob("allot", "job", JobUid("uid"), Reason.RUNNING, "Running.")
    told = [ActionOutcome(tell, ActionResult.DONE, str(number)) for number in range(3)]
    inbox = Inbox([], told[:2])
    taken = inbox.take()
    inbox.changes.append(ClusterChanges(is_relist=True))
    inbox.outcomes.append(told[2])
    inbox.put_back(taken)
    assert (inbox.outcomes, len(inbox.changes)) == (told, 1)


def test_a_cycle_looks_at_every_answer_however_many_a_transaction_takes(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end whose launch is not known to be answered holds its GPUs: a backlog of answers would idle the cluster."""
    monkeypatch.setattr(inbox_module, "OUTCOMES_AT_ONCE", 2)
    company.grant("ada", 100)
    workloads = [company.submit() for _ in range(5)]
    company.world.in_flight.update(workload.id for workload in workloads)
    noted: list[str] = []
    answered = Inbox([], [launched(workload) for workload in workloads])
    cycle_of(company, noted)._absorb(answered, company.now)
    assert not company.world.in_flight
    assert noted == ["written"] * 3


def test_what_a_transaction_takes_in_is_bounded_and_nothing_is_left_out_or_out_of_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox_module, "SEEN_AT_ONCE", 2)
    seen = [ClusterChanges(jobs={JobUid(f"u{number}"): None}) for number in range(5)]
    pieces = Inbox(list(seen), []).pieces()
    assert [len(piece.changes) for piece in pieces] == [2, 2, 1]
    assert [changes for piece in pieces for changes in piece.changes] == seen
    assert len(Inbox().pieces()) == 1


def test_the_first_launches_are_sent_before_the_last_are_written(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle_module, "INTENTS_AT_ONCE", 1)
    company.grant("ada", 100)
    for _ in range(2):
        company.submit(pod=replace(job_spec().pod, gpus=1))
    company.world.take_dirty()  # nothing is to be done about them before they are launched
    noted: list[str] = []
    cycle = cycle_of(company, noted)
    report = cycle._think(Inbox(), company.now, lambda actions: noted.append(f"sent {len(actions)}"))
    assert noted[:4] == ["written", "sent 1", "written", "sent 1"]
    assert (report.actions, report.refused) == (2, 0)
