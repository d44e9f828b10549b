"""Resizing an elastic attempt: its row first, then its Job, then, once its pods have ended, the rest of their hold."""

import pytest

from scheduler.decision.plan import Growth, Launch, Plan, Preemption, Victim
from scheduler.domain.actions import ResizeJob
from scheduler.domain.brakes import Brake
from scheduler.domain.cluster import Placement
from scheduler.domain.errors import Refusal, RefusalCode
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import PodPhase
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, Instant, JobUid, NodeName, PoolName, WorkloadId
from scheduler.domain.workloads import Attempt, ElasticTerms, PastSize, Workload, WorkloadKind, WorkloadState
from scheduler.lifecycle.running.act import next_action
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.running.renew import charge_until
from scheduler.lifecycle.views.sizes import sizes_text
from tests.lifecycle.build import H100, SPOT, Company, changes, job_seen, later, pod_seen

GPU_HOURS = 2 * MS_PER_HOUR
"""Of one pod of two GPUs, an hour."""


class Elastic:
    """A job of 2 to 4 pods of two GPUs each, which runs for at most two hours."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.grant: AllowanceId = company.grant("ada", 100)
        self.workload: Workload = company.submit(pods=4, min_pods=2)
        self.start: Instant = company.now

    def run(self, pods: int = 4) -> Attempt:
        company = self.company
        launch = Launch(
            self.workload.id,
            H100,
            _on("n0", pods),
            PoolName("research"),
            (FundingShare(self.grant, pods * 2 * GPU_HOURS),),
        )
        with company.changing() as batch:
            assert record(batch, Plan(company.now, launches=(launch,)), company.ids.new) == []
        company.give_job(self.workload)
        self.start = company.now
        self.see(pods, *range(pods))
        return self.attempt

    @property
    def attempt(self) -> Attempt:
        found = self.company.world.live_attempt(self.workload.id)
        assert found is not None
        return found

    def leaving(self) -> Placement | None:
        return self.attempt.leaving

    def see(self, size: int, *alive: int, gone: dict[int, int] | None = None) -> None:
        """The Job has that size; these pods run, and of others it is known how many seconds after the start they ended."""
        job = job_seen(self.workload, is_suspended=False, active=len(alive), pods=size, attempt_id=self.attempt.id)
        pods = [pod_seen(self.workload, number, started_at=self.start) for number in alive]
        for number, seconds in (gone or {}).items():
            ended = later(self.start, seconds)
            told = {"deleted_at": later(ended, -5), "grace_seconds": 30, "exit_code": 143}
            pods.append(
                pod_seen(self.workload, number, started_at=self.start, finished_at=ended, is_gone=True, **told)
            )
        self.company.see(changes(job, *pods))

    def see_end(self) -> None:
        """All that is left of it ends well, now."""
        ended = {"finished_at": self.company.now, "exit_code": 0, "phase": PodPhase.SUCCEEDED}
        pods = [
            pod_seen(self.workload, n, started_at=self.start, **ended) for n in range(self.attempt.placement.pods)
        ]
        job = job_seen(self.workload, is_suspended=False, is_complete=True, pods=self.attempt.placement.pods)
        self.company.see(changes(job, *pods))

    def shrink(self, pods_left: int) -> list[WorkloadId]:
        company = self.company
        grant = company.grant("bob", 100)
        preemptor = company.submit("bob", name="serve")
        launch = Launch(preemptor.id, H100, _on("n0", 1), PoolName("research"), (FundingShare(grant, GPU_HOURS),))
        victim = Victim(self.attempt.id, self.workload.id, "withinPool", "urgent over standard", pods_left)
        preemption = Preemption(launch, (victim,), later(company.now, 300))
        with company.changing() as batch:
            return record(batch, Plan(company.now, preemptions=(preemption,)), company.ids.new)

    def grow(self, placement: Placement, hours: int) -> list[WorkloadId]:
        share = FundingShare(self.grant, hours * MS_PER_HOUR)
        growth = Growth(self.attempt.id, self.workload.id, placement, (share,))
        with self.company.changing() as batch:
            return record(batch, Plan(self.company.now, growths=(growth,)), self.company.ids.new)

    def action(self) -> object:
        return next_action(self.company.world, self.company.workload(self.workload.id)).action


def _on(node: str, pods: int) -> Placement:
    return Placement(((NodeName(node), pods),))


@pytest.fixture
def elastic(company: Company) -> Elastic:
    return Elastic(company)


def test_a_shrink_is_a_row_first_and_then_a_call_and_its_hold_comes_back_when_its_pods_have_ended(
    elastic: Elastic,
) -> None:
    company = elastic.company
    elastic.run()
    assert elastic.attempt.elastic == ElasticTerms(2, 4, elastic.workload.spec.project)
    assert company.available(elastic.grant) == 100 * MS_PER_HOUR - 8 * GPU_HOURS
    company.now = later(company.now, 1800)
    assert elastic.shrink(3) == []
    assert (elastic.attempt.placement, elastic.leaving()) == (_on("n0", 3), _on("n0", 1))
    said = company.world.verdicts[elastic.workload.id]
    assert said.reason is Reason.SHRUNK
    assert {key: said.evidence[key] for key in ("pods", "pods_max", "given", "preemptor", "gpus")} == {
        "pods": 3,
        "pods_max": 4,
        "given": 1,
        "preemptor": "serve",
        "gpus": 2,
    }
    assert [(stop.brake, stop.gpus) for stop in company.world.stops] == [(Brake.PREEMPT, 2)]
    assert company.workload(elastic.workload.id).state is WorkloadState.RUNNING

    action = elastic.action()
    assert isinstance(action, ResizeJob)
    assert (action.placement, action.attempt_id) == (_on("n0", 3), elastic.attempt.id)
    elastic.see(3, 0, 1, 2, 3)
    assert elastic.leaving() is not None, "its last pod still runs"
    assert company.available(elastic.grant) == 100 * MS_PER_HOUR - 8 * GPU_HOURS
    elastic.see(3, 0, 1, 2, gone={3: 1800})
    assert elastic.leaving() is None
    assert elastic.action() is None
    # Half an hour of four pods is used; an hour and a half of one comes back.
    assert company.available(elastic.grant) == 100 * MS_PER_HOUR - 8 * GPU_HOURS + 3 * GPU_HOURS // 2

    assert elastic.attempt.past_sizes == (PastSize(company.now, 4),), "until its last pod had gone"
    company.now = later(elastic.start, 3600)
    elastic.see_end()
    assert company.available(elastic.grant) == 100 * MS_PER_HOUR - 3 * GPU_HOURS - GPU_HOURS // 2
    with company.store.reading() as books:
        (ended,) = books.attempts.of_workload(elastic.workload.id)
    assert sizes_text(ended, elastic.start, company.now) == "4, 3 of 4 pods"
    assert sizes_text(ended, elastic.start, later(elastic.start, 60)) == "4 of 4 pods", "as of then"
    with company.store.reading() as books:
        assert [hold for hold in books.holds.open_ones() if hold.workload_id == elastic.workload.id] == []
        assert books.journal.differences() == []


def test_of_a_hold_that_cannot_be_shared_out_evenly_those_that_stay_keep_the_larger_part(elastic: Elastic) -> None:
    company = elastic.company
    elastic.run()
    elastic.shrink(3)
    company.now = Instant(elastic.start + 1_800_001)
    elastic.see(3, 0, 1, 2, gone={3: 1800})
    unused = 8 * GPU_HOURS - 4 * GPU_HOURS // 2 - 3 * 2  # of three pods a millisecond more than of the one that left
    assert unused % 4 == 2
    assert company.available(elastic.grant) == 100 * MS_PER_HOUR - 8 * GPU_HOURS + unused // 4


def test_what_is_given_back_is_not_gone_while_the_job_has_its_old_size_or_a_node_too_many_pods(
    elastic: Elastic,
) -> None:
    elastic.run()
    elastic.shrink(2)
    elastic.see(4, 0, 1, gone={2: 5, 3: 5})
    assert elastic.leaving() == _on("n0", 2), "the Job would make them again"
    elastic.see(2, 0, 1)
    assert elastic.leaving() is None


def test_what_is_given_back_is_accounted_for_until_it_is_gone(elastic: Elastic) -> None:
    """Else its GPUs would be taken twice meanwhile: by it, and by pods that nobody launched."""
    elastic.run()
    assert elastic.company.world.take_relaunched()[JobUid(f"uid-{elastic.workload.id}")] == 4
    elastic.shrink(2)
    assert elastic.company.world.take_relaunched() == {}
    elastic.see(2, 0, 1, gone={2: 5, 3: 5})
    assert elastic.company.world.take_relaunched() == {JobUid(f"uid-{elastic.workload.id}"): 2}


def test_growing_makes_its_hold_and_its_job_is_brought_to_that_size(elastic: Elastic) -> None:
    company = elastic.company
    elastic.run(2)
    placement = Placement(((NodeName("n0"), 3), (NodeName("n1"), 1)))
    assert elastic.grow(placement, 4) == []
    assert elastic.attempt.placement == placement
    assert elastic.attempt.past_sizes == (PastSize(company.now, 2),)
    assert company.available(elastic.grant) == 92 * MS_PER_HOUR - 4 * MS_PER_HOUR
    said = company.world.verdicts[elastic.workload.id]
    assert said.reason is Reason.GROWN
    assert said.evidence == {"pods": 4, "pods_max": 4, "more": 2}
    action = elastic.action()
    assert isinstance(action, ResizeJob)
    assert action.placement == placement


def test_a_growth_is_refused_where_the_attempt_or_its_hours_have_changed_meanwhile(elastic: Elastic) -> None:
    elastic.run(2)
    assert elastic.grow(_on("n0", 4), 1000) == [elastic.workload.id], "there are no such hours"
    assert elastic.grow(Placement(((NodeName("n1"), 3),)), 1) == [elastic.workload.id], "it stands elsewhere"
    elastic.grow(_on("n0", 4), 4)
    assert elastic.grow(_on("n0", 4), 4) == [elastic.workload.id], "it has all its pods"
    elastic.shrink(2)
    assert elastic.grow(_on("n0", 3), 4) == [elastic.workload.id], "it still gives back"


def test_a_shrink_below_the_minimum_or_of_what_it_no_longer_has_is_refused(elastic: Elastic) -> None:
    elastic.run()
    for pods_left in (1, 4, 5):
        assert len(elastic.shrink(pods_left)) == 1
    assert elastic.leaving() is None
    assert elastic.shrink(2) == []
    assert len(elastic.shrink(3)) == 1


def test_charges_of_a_changing_size_are_cut_at_the_end_of_a_month(elastic: Elastic) -> None:
    """Its size now says nothing about how fast it used hours before."""
    company = elastic.company
    company.now = later(company.now, 10 * 86_400 + 11 * 3600)  # an hour before December
    elastic.grant = company.grant("ada", 100)
    elastic.run()
    elastic.shrink(2)
    company.now = later(elastic.start, 5400)
    elastic.see(2, 0, 1, gone={2: 1800, 3: 1800})
    with company.changing() as batch:
        charge_until(batch, elastic.attempt, later(elastic.start, 5400))
    with company.store.reading() as books:
        entries = [e for e in books.journal.entries(attempt_id=elastic.attempt.id) if e.kind.value == "charge"]
    by_instant: dict[int, int] = {}
    for entry in entries:
        if entry.account.kind.value == "charged":
            by_instant[entry.at] = by_instant.get(entry.at, 0) + entry.gpu_ms
    december = later(elastic.start, 3600)
    assert by_instant == {december - 1: 2 * GPU_HOURS + GPU_HOURS, later(elastic.start, 5400) - 1: GPU_HOURS}


def test_pods_that_were_given_back_say_nothing_about_how_it_failed(elastic: Elastic) -> None:
    company = elastic.company
    elastic.run()
    elastic.shrink(2)
    elastic.see(2, 0, 1, gone={2: 10, 3: 10})
    ended = {"started_at": elastic.start, "finished_at": later(elastic.start, 60)}
    pods = [pod_seen(elastic.workload, 0, exit_code=3, is_gone=True, **ended)]
    pods.append(
        pod_seen(elastic.workload, 1, exit_code=143, is_gone=True, deleted_at=later(elastic.start, 59), **ended)
    )
    job = job_seen(elastic.workload, is_suspended=False, is_failed=True, pods=2, attempt_id=elastic.attempt.id)
    company.see(changes(job, *pods))
    said = company.world.verdicts[elastic.workload.id]
    assert (said.reason, said.evidence["exit_code"]) == (Reason.FAILED, 3)


def test_unfunded_work_that_shrinks_has_nothing_to_be_released(elastic: Elastic) -> None:
    company = elastic.company
    spare = company.submit(pods=4, min_pods=2, priority_class=SPOT)
    launch = Launch(spare.id, H100, _on("n0", 4), PoolName("research"), (), is_funded=False)
    with company.changing() as batch:
        record(batch, Plan(company.now, launches=(launch,)), company.ids.new)
    elastic.workload, elastic.start = spare, company.now
    company.give_job(spare)
    elastic.see(4, 0, 1, 2, 3)
    elastic.shrink(2)
    elastic.see(2, 0, 1, gone={2: 10, 3: 10})
    assert elastic.leaving() is None


@pytest.mark.parametrize(
    "asked", [{"pods": 4, "min_pods": 0}, {"pods": 4, "min_pods": 5}, {"kind": WorkloadKind.SANDBOX, "min_pods": 1}]
)
def test_a_minimum_that_is_none_is_refused(company: Company, asked: dict[str, object]) -> None:
    company.grant("ada", 10)
    with pytest.raises(Refusal) as refused:
        company.submit(**asked)  # type: ignore[arg-type]  # by name
    assert refused.value.code is RefusalCode.INVALID_MIN_PODS


def test_an_elastic_job_is_taken_whose_minimum_alone_could_ever_run(company: Company) -> None:
    """Its limits and the cluster's nodes bound what it gets."""
    company.grant("ada", 10)
    assert company.submit(pods=16, min_pods=1).spec.min_pods == 1
