"""Jobs that somebody keeps from ending: a controller that says nothing, and a finalizer."""

from dataclasses import replace
from typing import Any

import pytest

from scheduler.domain.actions import SuspendJob
from scheduler.domain.observations import PodPhase
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR
from scheduler.domain.workloads import WorkloadState
from scheduler.lifecycle.running.act import next_action
from scheduler.lifecycle.running.observe import look_again
from scheduler.lifecycle.running.record import stop_attempt
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen
from tests.lifecycle.test_ending import GPUS, charged, launched


@pytest.mark.parametrize(
    ("of_job", "state"),
    [
        pytest.param({"is_run_elsewhere": True}, WorkloadState.FAILED, id="nobody took it up"),
        pytest.param(
            {"is_run_elsewhere": True, "active": 1}, WorkloadState.STOPPING, id="somebody says that it runs"
        ),
        pytest.param(
            {"is_run_elsewhere": True, "is_taken_up": True}, WorkloadState.STOPPING, id="somebody says that it began"
        ),
        pytest.param({}, WorkloadState.STOPPING, id="Kubernetes' own controller will confirm it"),
    ],
)
def test_a_job_whose_controller_never_took_it_up_gives_its_gpus_and_hours_back_when_its_start_is_overdue(
    company: Company, of_job: dict[str, Any], state: WorkloadState
) -> None:
    workload, grant, attempt = launched(company)
    with company.changing() as batch:
        stop_attempt(
            batch, company.world.attempts[attempt.id], Reason.START_TIMEOUT, {"minutes": 15, "cause": "none"}
        )
    company.see(changes(job_seen(workload, attempt_id=attempt.id, **of_job)))
    assert company.workload(workload.id).state is state
    assert (company.available(grant) == 10 * MS_PER_HOUR) is (state is WorkloadState.FAILED)


@pytest.mark.parametrize(
    ("of_job", "minutes", "state"),
    [
        pytest.param({}, 0, WorkloadState.CANCELLED, id="it was never launched"),
        pytest.param({"is_launched": True}, 14, WorkloadState.STOPPING, id="it may yet be taken up"),
        pytest.param({"is_launched": True}, 15, WorkloadState.CANCELLED, id="nobody took it up in time"),
        pytest.param(
            {"is_launched": True, "is_taken_up": True}, 15, WorkloadState.STOPPING, id="its controller took it up"
        ),
        pytest.param({"is_launched": True, "active": 1}, 15, WorkloadState.STOPPING, id="it runs"),
    ],
)
def test_a_cancelled_job_whose_controller_says_nothing_ends_once_it_cannot_have_been_begun(
    company: Company, of_job: dict[str, Any], minutes: int, state: WorkloadState
) -> None:
    workload, grant, attempt = launched(company)
    told = dict(of_job)
    attempt_id = attempt.id if told.pop("is_launched", False) else ""
    company.commands.cancel(company.caller("ada"), workload.id, now=company.now)
    company.see(changes(job_seen(workload, attempt_id=attempt_id, is_run_elsewhere=True, **told)))

    company.now = later(company.now, minutes * 60)
    with company.changing() as batch:
        look_again(batch)

    assert company.workload(workload.id).state is state
    assert (company.available(grant) == 10 * MS_PER_HOUR) is (state is WorkloadState.CANCELLED)


def test_a_running_job_that_is_deleted_and_kept_by_a_finalizer_is_called_off_and_ended_by_its_deadline(
    company: Company,
) -> None:
    workload, grant, attempt = launched(company)
    start = company.now
    kept = job_seen(workload, is_suspended=False, active=1, attempt_id=attempt.id, is_deleted=True, is_lingering=True)
    company.see(changes(kept, pod_seen(workload, started_at=start)))

    stopping = company.workload(workload.id)
    assert (stopping.state, stopping.state_reason) == (WorkloadState.STOPPING, Reason.JOB_DELETED)
    asked = next_action(company.world, stopping).action
    assert asked == SuspendJob(stopping, kept.uid, Reason.JOB_DELETED, is_lingering=True)

    company.see(changes(replace(kept, is_lingering=False)))
    assert next_action(company.world, company.workload(workload.id)).action is None, (
        "suspended, it would heed no deadline"
    )

    over = replace(kept, active=0, is_lingering=False, is_failed=True, failure="DeadlineExceeded")
    ended = pod_seen(workload, started_at=start, finished_at=later(start, 9), phase=PodPhase.FAILED, exit_code=143)
    company.see(changes(over, ended))
    assert company.workload(workload.id).state is WorkloadState.CANCELLED
    assert charged(company, grant) == 9_000 * GPUS
