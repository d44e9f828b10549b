"""What is asked of the cluster, and what its answers change: nothing is leaked, nothing is asked for ever."""

from dataclasses import replace
from typing import Any

import pytest

from scheduler.domain.actions import ActionOutcome, ActionResult, CreateJob, DeleteJob, LaunchJob, SuspendJob
from scheduler.domain.cluster import GpuClass, Placement
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import ObservedJob, PodPhase
from scheduler.domain.people import Engineer
from scheduler.domain.reasons import Reason
from scheduler.domain.topology import LevelName, TopologyAsk, TopologyLevel, TopologyMode
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, NodeName, PerMille, PriorityClassName
from scheduler.domain.workloads import Attempt, Origin, Workload, WorkloadKind, WorkloadState
from scheduler.lifecycle.intake import words_about_changes
from scheduler.lifecycle.running.act import Next, next_action, note_outcome
from scheduler.lifecycle.running.record import stop_attempt
from scheduler.lifecycle.running.tell import due_to_tell, keep_last_words
from tests.lifecycle.build import FULL, H100, ROLLING, Company, changes, job_seen, job_spec, pod_seen

CHANGED = {
    "more GPUs": (Origin.KUBECTL, {"gpus": 8}),
    "more CPU": (Origin.KUBECTL, {"cpu_milli": 9000}),
    "more GPUs in a Job of ours": (Origin.API, {"gpus": 8}),
}
CLASS = GpuClass(H100, PerMille(1000), (("gpu", "h100"),))


def launching(company: Company) -> tuple[Workload, AllowanceId, Attempt]:
    """The intent is recorded, the Job is there, and the call is to be made."""
    grant = company.grant("ada", 10)
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    company.see(changes(job_seen(workload, is_confirmed_suspended=True)))
    return company.workload(workload.id), grant, next(iter(company.world.attempts.values()))


def answer(company: Company, action: CreateJob | LaunchJob, result: ActionResult, message: str = "") -> None:
    with company.changing() as batch:
        note_outcome(batch, ActionOutcome(action, result, message), {})


def test_an_intent_is_carried_out_once_its_job_is_there(company: Company) -> None:
    workload, _, attempt = launching(company)
    placement = Placement(((NodeName("n0"), 1),))
    uid = workload.job_uid
    assert uid is not None
    assert next_action(company.world, workload) == Next(LaunchJob(workload, attempt.id, uid, 1, CLASS, placement))


def test_a_job_that_somebody_else_set_going_is_suspended_whether_or_not_it_is_to_be_launched(
    company: Company,
) -> None:
    workload, _, _ = launching(company)
    company.see(changes(job_seen(workload, is_suspended=False, active=1, generation=2)))
    assert isinstance(next_action(company.world, workload).action, SuspendJob)
    waiting = company.submit()
    company.give_job(waiting)
    company.see(changes(job_seen(waiting, is_suspended=False, active=1)))
    assert isinstance(next_action(company.world, company.workload(waiting.id)).action, SuspendJob)


def test_a_launch_that_is_forbidden_gives_its_hold_back_and_is_tried_later(company: Company) -> None:
    workload, grant, _ = launching(company)
    action = next_action(company.world, workload).action
    assert isinstance(action, LaunchJob)
    answer(company, action, ActionResult.FORBIDDEN, "403: exceeded quota: gpus")
    held_back = company.workload(workload.id)
    assert held_back.state is WorkloadState.QUEUED
    assert held_back.not_before > company.now
    assert company.available(grant) == 10 * MS_PER_HOUR
    assert company.world.verdicts[workload.id].reason is Reason.BACKOFF
    assert company.world.verdicts[workload.id].evidence["cause"] == "403: exceeded quota: gpus"


def test_a_launch_that_is_refused_for_good_fails_and_gives_its_hold_back(company: Company) -> None:
    workload, grant, _ = launching(company)
    action = next_action(company.world, workload).action
    assert isinstance(action, LaunchJob)
    answer(company, action, ActionResult.REFUSED, "422: invalid")
    assert company.workload(workload.id).state is WorkloadState.FAILED
    assert company.workload(workload.id).state_reason is Reason.LAUNCH_REFUSED
    assert company.available(grant) == 10 * MS_PER_HOUR


def test_the_job_of_cancelled_work_is_deleted_though_it_was_not_reported_yet(company: Company) -> None:
    company.grant("ada", 10)
    workload = company.submit()
    company.give_job(workload)
    company.commands.cancel(company.caller("ada"), workload.id, now=company.now)
    cancelled = company.workload(workload.id)
    assert next_action(company.world, cancelled) == Next(DeleteJob(cancelled, cancelled.job_uid))


def test_the_job_of_work_that_ran_out_of_time_is_deleted_and_one_that_ended_is_left(company: Company) -> None:
    workload, _, attempt = launching(company)
    with company.changing() as batch:
        batch.change_workload(company.workload(workload.id), state=WorkloadState.FAILED)
        batch.world.attempt_of.pop(workload.id)
    failed = company.workload(workload.id)
    assert isinstance(next_action(company.world, failed).action, DeleteJob)
    company.see(changes(job_seen(workload, is_failed=True, attempt_id=attempt.id)))
    assert next_action(company.world, failed) == Next(is_done=True)


@pytest.mark.parametrize("reason", [Reason.STOPPED, Reason.IDLE, Reason.PREEMPTED])
def test_a_sandbox_is_suspended_in_one_way_whatever_for_and_its_job_and_home_are_left(
    company: Company, reason: Reason
) -> None:
    """What its home holds after a stop and after a rest is read back on the real node; this is the same call."""
    grant = company.grant("ada", 10)
    sandbox = company.submit(kind=WorkloadKind.SANDBOX, image="notebook:1")
    company.launch(sandbox, FundingShare(grant, 4 * MS_PER_HOUR))
    uid = company.give_job(sandbox)
    (attempt,) = company.world.attempts.values()
    runs = job_seen(sandbox, is_suspended=False, active=1, attempt_id=attempt.id)
    company.see(changes(runs, pod_seen(sandbox, started_at=company.now)))
    with company.changing() as batch:
        stop_attempt(batch, company.world.attempts[attempt.id], reason, {"preemptor": "x", "rule": "x"})
    stopping = company.workload(sandbox.id)
    assert next_action(company.world, stopping) == Next(SuspendJob(stopping, uid, reason))

    over = pod_seen(sandbox, started_at=company.now, finished_at=company.now, phase=PodPhase.FAILED, is_gone=True)
    at_rest = job_seen(sandbox, is_suspended=True, is_confirmed_suspended=True, attempt_id=attempt.id)
    company.see(changes(over, at_rest))

    rests = company.workload(sandbox.id)
    assert rests.state in {WorkloadState.STOPPED, WorkloadState.QUEUED}
    assert rests.job_uid == uid
    assert next_action(company.world, rests) == Next()


def test_a_job_is_taken_in_once_though_its_workload_was_forgotten(company: Company) -> None:
    company.grant("ada", 10)
    applied = job_seen(company.submit(), author="ada", asked=job_spec(), name="mine")
    assert company.take_in(applied) == []
    workload_id = company.world.workload_of_job[applied.uid]
    company.commands.cancel(company.caller("ada"), workload_id, now=company.now)
    company.world.drop_workload(workload_id)
    assert company.take_in(applied) == []
    assert company.workload(workload_id).state is WorkloadState.CANCELLED
    with company.store.reading() as books:
        assert [each.id for each in books.workloads.page(limit=10) if each.job_name == "mine"] == [workload_id]


def test_a_job_that_its_author_applied_unsuspended_is_told_why_it_is_not_taken_in(company: Company) -> None:
    company.grant("ada", 10)
    unfit = "it was not created suspended"
    running = job_seen(company.submit(), author="ada", is_suspended=False, active=1, unfit=unfit, name="mine")
    (told,) = company.take_in(running)
    assert (told.job_uid, told.reason, told.is_event) == (running.uid, Reason.REFUSED, True)
    assert "not created suspended" in told.message
    assert running.uid not in company.world.workload_of_job


def test_a_refused_job_is_told_once_and_taken_in_when_it_is_mended(company: Company) -> None:
    ada: Engineer = company.engineer("ada")
    company.grant("ada", 10)
    unfit = job_seen(company.submit(), author=ada.subject, unfit="no project", name="mine")
    (told,) = company.take_in(unfit)
    assert told.reason is Reason.REFUSED
    assert company.take_in(unfit) == []
    mended = job_seen(company.submit(), author=ada.subject, asked=job_spec(), name="mine", uid=unfit.uid)
    assert company.take_in(mended) == []
    assert unfit.uid in company.world.workload_of_job


def queued_by_kubectl(company: Company, **asked: Any) -> ObservedJob:
    company.grant("ada", 10)
    applied = job_seen(company.submit(), author="ada", asked=replace(job_spec(), **asked), name="mine")
    assert company.take_in(applied) == []
    company.see(changes(applied))
    return applied


def test_labels_that_are_changed_while_work_waits_are_told_to_change_nothing(company: Company) -> None:
    applied = queued_by_kubectl(company)
    asked = applied.asked
    assert asked is not None
    judged = company.workload(company.world.workload_of_job[applied.uid])
    relabelled = replace(applied, asked=replace(asked, time_limit_ms=2 * asked.time_limit_ms, project=None))

    (told,) = words_about_changes(company.world, [relabelled, None])

    assert (told.job_uid, told.reason, told.is_status) == (applied.uid, Reason.RELABELLED, False)
    assert "about its project and its time limit changes nothing" in told.message
    company.see(changes(relabelled))
    assert company.workload(judged.id) == judged
    assert words_about_changes(company.world, [relabelled]) == [], "it is said once"
    assert words_about_changes(company.world, [applied]) == [], "it asks for what was judged again"


def test_a_job_that_was_set_going_by_hand_and_is_suspended_again_is_not_told_that_its_labels_changed(
    company: Company,
) -> None:
    company.world.put_policy(replace(company.world.require_policy(), default_priority_class=FULL))
    silent = queued_by_kubectl(company, priority_class=PriorityClassName(""))
    company.see(changes(replace(silent, asked=None, unfit="it was not created suspended", is_suspended=False)))

    assert words_about_changes(company.world, [silent]) == []
    relabelled = replace(silent, asked=replace(silent.asked or job_spec(), priority_class=ROLLING))
    (told,) = words_about_changes(company.world, [relabelled])
    assert "about its priority class changes nothing" in told.message


def test_labels_that_say_nothing_any_more_are_told_to_change_nothing(company: Company) -> None:
    applied = queued_by_kubectl(company)

    (told,) = words_about_changes(company.world, [replace(applied, asked=None, unfit="it has no project")])

    assert "it has no project" in told.message


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"attempt_id": "a-1"}, id="by our launch"),
        pytest.param({"is_suspended": False}, id="of what is set going"),
        pytest.param({"is_deleted": True}, id="of what goes"),
    ],
)
def test_other_changes_are_no_relabelling(company: Company, changed: dict[str, Any]) -> None:
    applied = queued_by_kubectl(company)
    asked = replace(applied.asked or job_spec(), time_limit_ms=7_000)
    assert words_about_changes(company.world, [replace(applied, asked=asked, **changed)]) == []
    assert len(words_about_changes(company.world, [replace(applied, asked=asked)])) == 1


def test_a_level_that_a_job_names_by_its_node_label_is_called_as_the_policy_calls_it(company: Company) -> None:
    company.grant("ada", 10)
    racks = (TopologyLevel(LevelName("rack"), "cloud.example/rack"),)
    company.world.put_policy(replace(company.world.require_policy(), topology=racks))
    for number, (label, level) in enumerate((("cloud.example/rack", "rack"), ("kubernetes.io/hostname", "node"))):
        asked = replace(job_spec(), topology=TopologyAsk(TopologyMode.PREFER, LevelName(label)))
        applied = job_seen(company.submit(), author="ada", asked=asked, name=f"mine-{number}")
        assert company.take_in(applied) == []
        taken = company.workload(company.world.workload_of_job[applied.uid])
        assert taken.spec.topology == TopologyAsk(TopologyMode.PREFER, LevelName(level))


@pytest.mark.parametrize("is_decided", [False, True], ids=["queued", "to be launched"])
@pytest.mark.parametrize(("origin", "changed"), CHANGED.values(), ids=CHANGED)
def test_a_suspended_job_whose_pods_ask_for_something_else_now_is_never_launched(
    company: Company, origin: Origin, changed: dict[str, int], is_decided: bool
) -> None:
    workload, grant, _ = launching(company) if is_decided else waiting_with_job(company)
    with company.changing() as batch:
        batch.change_workload(company.workload(workload.id), origin=origin)
    pod = replace(workload.spec.pod, **changed)

    company.see(changes(job_seen(workload, is_confirmed_suspended=True, generation=2, pod=pod)))

    refused = company.workload(workload.id)
    assert (refused.state, refused.state_reason) == (WorkloadState.FAILED, Reason.LAUNCH_REFUSED)
    assert company.available(grant) == 10 * MS_PER_HOUR
    assert not isinstance(next_action(company.world, refused).action, LaunchJob)


def test_why_waiting_work_ended_is_told_though_it_is_forgotten_at_once(company: Company) -> None:
    workload, _, _ = waiting_with_job(company)
    pod = replace(workload.spec.pod, gpus=8)
    company.see(changes(job_seen(workload, is_confirmed_suspended=True, generation=2, pod=pod)))

    keep_last_words(company.world, workload.id)
    company.world.drop_workload(workload.id)

    told = due_to_tell(company.world, company.now, 10)
    assert [(each.job_uid, each.reason) for each in told] == [(workload.job_uid, Reason.LAUNCH_REFUSED)]
    assert "8 GPUs" in told[0].message


@pytest.mark.parametrize("is_there", [True, False], ids=["its Job stays", "its Job went"])
def test_a_job_that_completed_is_not_left_saying_that_it_runs(company: Company, is_there: bool) -> None:
    workload, _, _ = waiting_with_job(company)
    ended = job_seen(workload, is_suspended=False, is_complete=True, is_deleted=not is_there)
    company.see(changes(ended))
    assert company.workload(workload.id).state is WorkloadState.COMPLETED

    keep_last_words(company.world, workload.id)
    company.world.drop_workload(workload.id)

    told = due_to_tell(company.world, company.now, 10)
    said = [(each.job_uid, each.message, each.is_status, each.is_event) for each in told]
    assert said == ([(workload.job_uid, "Completed.", True, False)] if is_there else [])
    assert due_to_tell(company.world, company.now, 10) == []


def test_a_job_whose_waiting_work_was_cancelled_says_so(company: Company) -> None:
    workload, _, _ = waiting_with_job(company)
    company.see(changes(job_seen(workload)))
    company.commands.cancel(company.caller("ada"), workload.id, now=company.now)

    keep_last_words(company.world, workload.id)

    (told,) = company.world.words.take_endings(10)
    assert (told.reason, told.is_status, told.is_event) == (Reason.CANCELLED, True, True)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param({"pod": None}, id="it is not said"),
        pytest.param({"pod": replace(job_spec().pod, gpus=0)}, id="its resource is of no class any more"),
        pytest.param({"pod": replace(job_spec().pod, cpu_milli=1)}, id="what is our own writing"),
        pytest.param({"pod": replace(job_spec().pod, gpus=8), "is_suspended": False}, id="it is not suspended"),
    ],
)
def test_a_job_that_asks_for_what_was_judged_stays_to_be_launched(company: Company, seen: dict[str, Any]) -> None:
    workload, _, _ = launching(company)

    company.see(changes(job_seen(workload, is_confirmed_suspended=True, **seen)))

    assert company.workload(workload.id).state is WorkloadState.LAUNCHING


def waiting_with_job(company: Company) -> tuple[Workload, AllowanceId, None]:
    grant = company.grant("ada", 10)
    workload = company.submit()
    company.give_job(workload)
    return company.workload(workload.id), grant, None
