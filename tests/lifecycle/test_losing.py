"""Nodes that go away under what runs on them: what is charged, what comes back, and what becomes of the work."""

from dataclasses import dataclass, replace

import pytest

from scheduler.domain.actions import ActionOutcome, ActionResult, CreateJob, DeleteJob, LaunchJob, SuspendJob
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import ClusterChanges, Disruption, ObservedPod
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.records import EndEvidence
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, Instant, JobUid, NodeName
from scheduler.domain.workloads import Attempt, Origin, Workload, WorkloadState
from scheduler.lifecycle.running.act import next_action, note_outcome
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen

NODE = NodeName("n0")
HOURS = 10
GPUS = 2


@dataclass(frozen=True)
class Ran:
    """A job of two GPUs that has run for 600 s, wrote a checkpoint after 300, and was last seen after 400."""

    company: Company
    workload: Workload
    grant: AllowanceId
    attempt: Attempt
    start: Instant

    def lost(self, disruption: Disruption | None = Disruption.NODE_GONE) -> ObservedPod:
        """Its pod, as the API had it last: ended by the platform after 500 s, and nobody stamped an end."""
        return pod_seen(
            self.workload,
            started_at=self.start,
            evidence_at=later(self.start, 400),
            deleted_at=later(self.start, 500),
            grace_seconds=30,
            disruption=disruption,
            attempt_id=self.attempt.id,
            is_gone=True,
        )

    def see_it_lost(self, disruption: Disruption, **job: object) -> Workload:
        """`job` is what else is seen of its Job."""
        failed = job_seen(self.workload, is_suspended=False, is_failed=True, ended_at=later(self.start, 500), **job)
        self.company.see(changes(self.lost(disruption), replace(failed, attempt_id=self.attempt.id)))
        return self.company.workload(self.workload.id)

    def see_it_suspended(self, **job: object) -> Workload:
        """We suspended its Job with the loss, and it has not failed. `job` is what else is seen of it."""
        suspended = job_seen(self.workload, is_suspended=True, is_confirmed_suspended=True, **job)
        self.company.see(changes(self.lost(), replace(suspended, attempt_id=self.attempt.id)))
        return self.company.workload(self.workload.id)

    @property
    def came_back(self) -> int:
        """Seconds of its two GPUs that its owner has again, of the 400 that it is known to have run."""
        paid = HOURS * MS_PER_HOUR - self.company.available(self.grant)
        return 400 - paid // (GPUS * 1000)


def ran(company: Company, origin: Origin = Origin.API) -> Ran:
    grant = company.grant("ada", HOURS)
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    with company.changing() as batch:
        workload = batch.change_workload(company.workload(workload.id), origin=origin)
    attempt = next(iter(company.world.attempts.values()))
    start = company.now
    running = job_seen(
        workload, is_suspended=False, active=1, attempt_id=attempt.id, checkpointed_at=later(start, 300)
    )
    company.see(changes(running, pod_seen(workload, started_at=start, evidence_at=later(start, 400))))
    company.now = later(start, 600)
    return Ran(company, workload, grant, attempt, start)


@pytest.mark.parametrize("disruption", [Disruption.NODE_GONE, Disruption.TAINTED])
def test_work_lost_with_its_node_is_charged_to_the_last_evidence_refunded_and_queued_again(
    company: Company, disruption: Disruption
) -> None:
    lost = ran(company)

    again = lost.see_it_lost(disruption)

    assert (again.state, again.state_reason, again.submitted_at) == (
        WorkloadState.QUEUED,
        Reason.NODE_LOST,
        lost.workload.submitted_at,
    )
    assert lost.came_back == 100
    with company.store.reading() as books:
        (attempt,) = books.attempts.of_workload(again.id)
        (run,) = books.attempts.pods_of([attempt.id])[attempt.id]
        assert books.journal.differences() == []
    assert (attempt.stop_reason, attempt.ended_at) == (Reason.NODE_LOST, later(lost.start, 400))
    assert run.end_evidence is EndEvidence.LAST_SEEN
    verdict = company.world.verdicts[again.id]
    assert sentence(verdict.reason, verdict.evidence).startswith(f"Lost on {NODE}: the node ")


def test_a_failed_job_gets_a_successor_of_its_own_name_and_its_own_end_is_forgotten(company: Company) -> None:
    lost = ran(company)
    again = lost.see_it_lost(Disruption.NODE_GONE)
    assert lost.workload.job_uid is not None

    assert (again.job_name, again.job_uid, again.retries) == (f"{again.id}-1", None, 1)
    action = next_action(company.world, again).action
    assert isinstance(action, CreateJob)
    assert action.workload.job_name == f"{again.id}-1"
    company.see(ClusterChanges(jobs={lost.workload.job_uid: None}))
    assert company.workload(again.id).state is WorkloadState.QUEUED


def test_the_rest_of_a_gang_is_stopped_with_the_pod_that_was_lost(company: Company) -> None:
    lost = ran(company)
    company.see(changes(lost.lost()))
    stopping = company.workload(lost.workload.id)
    assert stopping.state is WorkloadState.STOPPING
    assert isinstance(next_action(company.world, stopping).action, SuspendJob)


def test_a_job_of_kubectl_that_failed_with_its_node_has_a_next_one_made_from_it(company: Company) -> None:
    lost = ran(company, Origin.KUBECTL)

    again = lost.see_it_lost(Disruption.NODE_GONE)

    assert (again.state, again.state_reason) == (WorkloadState.QUEUED, Reason.NODE_LOST)
    assert lost.came_back == 100
    name = again.spec.name
    assert (again.job_name, again.job_uid, again.retries) == (f"{name}-2", None, 1)
    create = next_action(company.world, again).action
    assert isinstance(create, CreateJob)
    assert (create.workload.job_name, create.former, create.author) == (f"{name}-2", name, "ada")
    assert company.world.verdicts[again.id].evidence["then"] == "it is queued again"


@pytest.mark.parametrize("is_owned", [False, True], ids=["nobody's", "another controller's"])
def test_a_job_of_kubectl_that_its_own_rule_spares_its_node_is_resumed_itself(
    company: Company, is_owned: bool
) -> None:
    lost = ran(company, Origin.KUBECTL)

    again = lost.see_it_suspended(is_owned=is_owned)

    assert (again.state, again.state_reason) == (WorkloadState.QUEUED, Reason.NODE_LOST)
    assert lost.came_back == 100
    assert (again.job_name, again.job_uid, again.retries) == (lost.workload.job_name, lost.workload.job_uid, 0)
    company.launch(again, FundingShare(lost.grant, 4 * MS_PER_HOUR))
    launch = next_action(company.world, company.workload(again.id)).action
    assert isinstance(launch, LaunchJob)
    assert launch.job_uid == lost.workload.job_uid


def test_a_job_of_kubectl_that_fails_late_with_its_node_has_a_next_one_then(company: Company) -> None:
    lost = ran(company, Origin.KUBECTL)
    waiting = lost.see_it_suspended()

    company.see(changes(replace(job_seen(waiting, is_failed=True), attempt_id=lost.attempt.id)))

    again = company.workload(waiting.id)
    assert (again.state, again.state_reason) == (WorkloadState.QUEUED, Reason.NODE_LOST)
    assert (again.job_name, again.job_uid, again.retries) == (f"{again.spec.name}-2", None, 1)
    assert isinstance(next_action(company.world, again).action, CreateJob)


def test_a_failed_job_that_went_before_its_next_one_was_made_ends_its_workload(company: Company) -> None:
    again = ran(company, Origin.KUBECTL).see_it_lost(Disruption.NODE_GONE)
    create = next_action(company.world, again).action
    assert isinstance(create, CreateJob)

    with company.changing() as batch:
        note_outcome(batch, ActionOutcome(create, ActionResult.GONE), {})

    ended = company.workload(again.id)
    assert (ended.state, ended.state_reason) == (WorkloadState.FAILED, Reason.JOB_DELETED)
    assert next_action(company.world, ended).is_done


def test_a_next_job_that_we_made_of_a_users_is_ours_to_delete(company: Company) -> None:
    again = ran(company, Origin.KUBECTL).see_it_lost(Disruption.NODE_GONE)
    with company.changing() as batch:
        batch.change_workload(again, job_uid=JobUid("second"))
    company.commands.cancel(company.caller("ada"), again.id, now=company.now)

    action = next_action(company.world, company.workload(again.id)).action

    assert isinstance(action, DeleteJob)
    assert action.job_uid == "second"


@pytest.mark.parametrize("whose", ["is_owned", "is_run_elsewhere", "is_deleted"])
def test_a_job_that_another_controller_owns_or_that_is_deleted_is_its_authors_to_apply_anew(
    company: Company, whose: str
) -> None:
    lost = ran(company, Origin.KUBECTL)

    ended = lost.see_it_lost(Disruption.NODE_GONE, **{whose: True})

    assert (ended.state, ended.state_reason) == (WorkloadState.FAILED, Reason.NODE_LOST)
    assert lost.came_back == 100
    assert (ended.job_name, ended.retries) == (lost.workload.job_name, 0)


def test_who_evicts_a_pod_from_a_good_node_gets_nothing_back(company: Company) -> None:
    lost = ran(company)

    ended = lost.see_it_lost(Disruption.EVICTED)

    assert (ended.state, ended.state_reason) == (WorkloadState.FAILED, Reason.FAILED)
    assert lost.came_back < 0  # it had the grace that it was given, too


def test_a_pod_evicted_from_a_node_that_is_drained_is_no_fault_of_its_owner(company: Company) -> None:
    lost = ran(company)
    company.world.put_node(NODE, replace(company.world.nodes[NODE], accepts_work=False))

    again = lost.see_it_lost(Disruption.EVICTED)

    assert (again.state, again.state_reason) == (WorkloadState.QUEUED, Reason.NODE_LOST)


def test_a_node_that_went_while_nobody_watched_is_found_gone_with_its_pods(company: Company) -> None:
    lost = ran(company)
    failed = job_seen(
        lost.workload, is_suspended=False, is_failed=True, ended_at=later(lost.start, 550), attempt_id=lost.attempt.id
    )
    other = company.world.nodes[NodeName("n1")]

    company.see(replace(changes(failed, is_relist=True), nodes={other.name: other}))

    again = company.workload(lost.workload.id)
    assert (again.state, again.state_reason) == (WorkloadState.QUEUED, Reason.NODE_LOST)
    assert lost.came_back == 100


def test_work_that_was_being_cancelled_when_its_node_went_stays_cancelled(company: Company) -> None:
    lost = ran(company)
    company.commands.cancel(company.caller("ada"), lost.workload.id, now=company.now)

    ended = lost.see_it_lost(Disruption.NODE_GONE)

    assert (ended.state, ended.state_reason) == (WorkloadState.CANCELLED, Reason.CANCELLED)
    assert lost.came_back == 0
