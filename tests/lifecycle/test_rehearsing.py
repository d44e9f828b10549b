"""A cycle that only observes: it asks nothing of the cluster, touches nobody's work, and says what it would have done."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scheduler.domain.actions import Action, ActionOutcome
from scheduler.domain.cluster import GpuClass
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import ClusterChanges, PodPhase
from scheduler.domain.policy import Policy, WithinPool
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant, JobUid
from scheduler.domain.workloads import AttemptState, WorkloadState
from scheduler.ledger.journal import TransactionKind
from scheduler.lifecycle.cycle import Cycle, CycleReport
from scheduler.lifecycle.memory.observed_only import Observed, Would
from scheduler.ports import Cluster
from tests.lifecycle.build import ROLLING, Company, changes, job_seen, job_spec, pod_seen, policy


class ReadOnlyCluster:
    """Reports what a test tells it to; whoever asks it for anything fails the test."""

    is_simulated = False
    is_reachable = True

    def __init__(self) -> None:
        self.next = ClusterChanges()

    async def start(self) -> None:
        """Nothing is watched."""

    async def close(self) -> None:
        """Nothing is open."""

    def use_gpu_classes(self, classes: Mapping[GpuClassName, GpuClass]) -> None:
        """The test puts its nodes itself."""

    def account_for(self, jobs: Mapping[JobUid, int]) -> None:
        """Nothing is outside of what the test puts."""

    async def changes(self, timeout_seconds: float) -> ClusterChanges:
        del timeout_seconds
        seen, self.next = self.next, ClusterChanges()
        return seen

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        raise AssertionError(f"an observer was asked to write: {actions}")


class Watcher:
    """A company under a cycle that only observes."""

    is_simulated = False

    def __init__(self, company: Company) -> None:
        self.company = company
        self.cluster = ReadOnlyCluster()
        cluster: Cluster = self.cluster
        self.cycle = Cycle(company.store, company.world, cluster, self, company.ids, company.commands, acts=False)

    def now(self) -> Instant:
        return self.company.now

    def seconds_until(self, instant: Instant) -> float:
        return max(0, instant - self.company.now) / 1000

    def look(self, *seen: ClusterChanges) -> CycleReport:
        """One cycle, having been told this."""

        async def once() -> CycleReport:
            for each in seen:
                self.cluster.next = each
                await self.cycle.watch_once()
            self.cycle.wake()
            return await self.cycle.run_once()

        return asyncio.run(once())

    def item(self, would: Would) -> Observed:
        assert self.company.world.observed is not None
        (item,) = [item for item in self.company.world.observed.items() if item.would is would]
        return item


def preempting() -> Policy:
    rules = policy()
    pools = {name: replace(pool, within_pool=WithinPool.LOWER_PRIORITY) for name, pool in rules.pools.items()}
    return replace(rules, pools=pools)


def test_a_launch_that_would_be_is_told_once_with_its_place_and_price_and_holds_nothing(company: Company) -> None:
    grant = company.grant("ada", 10)
    workload = company.submit()
    watcher = Watcher(company)
    reports = [watcher.look() for _ in range(3)]
    assert [len(report.observed) for report in reports] == [1, 0, 0]
    item = watcher.item(Would.LAUNCH)
    assert item.sentence == "Would have launched 2 × h100 on n0, holding 4.0 h."
    assert (item.workload_id, item.gpus, item.held) == (workload.id, 2, 4 * MS_PER_HOUR)
    assert company.available(grant) == 10 * MS_PER_HOUR
    assert company.workload(workload.id).state is WorkloadState.QUEUED


def test_a_price_is_told_to_the_nearest_tenth_of_an_hour(company: Company) -> None:
    company.grant("ada", 10)
    company.submit(time_limit_ms=630_000)
    watcher = Watcher(company)
    watcher.look()
    item = watcher.item(Would.LAUNCH)
    assert item.held == 1_260_000
    assert item.sentence.endswith("holding 0.4 h.")


def test_who_would_wait_is_told_so_and_who_would_start_is_told_no_lie(company: Company) -> None:
    company.grant("ada", 100)
    starts = company.submit(pod=replace(job_spec().pod, gpus=4), pods=2)
    waits = company.submit()
    Watcher(company).look()
    with company.store.reading() as books:
        assert books.verdicts.latest([starts.id]) == {}
        told = books.verdicts.latest([waits.id]).get(waits.id)
    assert told is not None
    assert told.reason is Reason.ENGINEER_GPU_LIMIT


def test_a_launch_that_would_no_longer_be_is_closed(company: Company) -> None:
    company.grant("ada", 10)
    workload = company.submit()
    watcher = Watcher(company)
    watcher.look()
    company.commands.cancel(company.caller("ada"), workload.id, now=company.now)
    company.now = Instant(company.now + 5_000)
    watcher.look()
    assert watcher.item(Would.LAUNCH).until == company.now


def test_a_preemption_that_would_be_names_the_rule_and_leaves_its_victim_alone() -> None:
    company = Company(preempting())
    try:
        paid_by = company.grant("bob", 100)
        company.grant("ada", 100)
        victim = company.submit("bob", pod=replace(job_spec().pod, gpus=4), pods=2)
        company.launch(victim, FundingShare(paid_by, 16 * MS_PER_HOUR))
        with company.changing() as batch:
            (attempt,) = company.world.attempts.values()
            moved = replace(attempt, state=AttemptState.RUNNING, started_at=company.now)
            batch.put_attempt(moved)
        company.submit("ada", name="canary", priority_class=ROLLING)
        watcher = Watcher(company)
        watcher.look()
        item = watcher.item(Would.PREEMPT)
        assert item.workload_id == victim.id
        assert item.sentence.startswith("Would have been preempted by canary (")
        assert watcher.item(Would.LAUNCH).sentence.endswith(", once 1 workload had given way.")
        assert company.world.attempts[attempt.id] == moved
        assert company.world.stops == ()
    finally:
        company.close()


def test_what_would_be_stopped_at_its_limit_runs_on(company: Company) -> None:
    paid_by = company.grant("ada", 10)
    workload = company.submit()
    company.launch(workload, FundingShare(paid_by, 4 * MS_PER_HOUR))
    company.give_job(workload)
    watcher = Watcher(company)
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=company.now)))
    company.now = Instant(company.now + 2 * MS_PER_HOUR)
    watcher.look()
    item = watcher.item(Would.STOP)
    assert item.sentence == "Would have been ended. Stopped at its time limit of 2 h."
    (attempt,) = company.world.attempts.values()
    assert attempt.state is AttemptState.RUNNING


def test_a_job_that_others_set_going_would_be_suspended_and_charged_by_its_node_and_class(company: Company) -> None:
    company.grant("ada", 10)
    workload = company.submit(priority_class=ROLLING)
    company.give_job(workload)
    watcher = Watcher(company)
    going = job_seen(workload, is_suspended=False, active=1)
    watcher.look(changes(going, pod_seen(workload, started_at=company.now)))
    assert watcher.item(Would.SUSPEND).sentence == "Would have suspended its Job: somebody else set it going."
    company.now = Instant(company.now + MS_PER_HOUR)
    watcher.look()
    charge = watcher.item(Would.CHARGE)
    assert (charge.gpu_ms, charge.charged) == (2 * MS_PER_HOUR, 3 * MS_PER_HOUR)
    assert charge.sentence == "Would have charged 3.0 h for 2.0 GPU-hours that others let it run."
    ended_at = company.now
    company.now = Instant(company.now + MS_PER_HOUR)
    ended = pod_seen(workload, started_at=charge.since, phase=PodPhase.SUCCEEDED, finished_at=ended_at)
    watcher.look(changes(replace(going, active=0, is_complete=True, ended_at=ended_at), ended))
    watcher.look()
    charge = watcher.item(Would.CHARGE)
    assert (charge.charged, charge.until) == (3 * MS_PER_HOUR, company.now)
    assert company.workload(workload.id).state is WorkloadState.COMPLETED
    with company.store.reading() as books:
        assert {entry.kind for entry in books.journal.entries()} == {TransactionKind.GRANT}
        assert books.attempts.of_workload(workload.id) == []
