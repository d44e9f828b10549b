"""An attempt whose pods Kubernetes is refused (Pod Security, a quota, a webhook): how long it is given, what it is told."""

from dataclasses import replace

import pytest

from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import ObservedJob, PodPhase
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, AttemptId
from scheduler.domain.workloads import Workload, WorkloadState
from scheduler.lifecycle.running.ending import PATIENCE_MS
from scheduler.lifecycle.running.limits import REFUSED_MS, enforce_limits, limits_are_due
from scheduler.lifecycle.running.observe import look_again
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen
from tests.lifecycle.test_stopping import launched

REFUSAL = 'pods "run-x" is forbidden: violates PodSecurity "restricted:latest"'


def refused(company: Company, workload: Workload, seconds: int) -> ObservedJob:
    """Its Job as it is reported where Kubernetes has been refused its pods since so long after now."""
    attempt = company.world.live_attempt(workload.id)
    assert attempt is not None
    since = later(company.now, seconds)
    return job_seen(workload, is_suspended=False, attempt_id=attempt.id, refused_since=since, refused_because=REFUSAL)


def test_an_attempt_that_kubernetes_is_refused_the_pods_of_is_stopped_soon_told_why_and_gives_its_hold_back(
    company: Company,
) -> None:
    workload = launched(company)
    began, held = company.now, sum(each.held for each in company.world.balances.values())
    assert held > 0
    company.see(changes(refused(company, workload, 1)))
    company.now = later(began, REFUSED_MS // 1000)
    assert not limits_are_due(company.world, company.now), "it may yet be let make them"
    company.now = later(began, REFUSED_MS // 1000 + 1)
    assert limits_are_due(company.world, company.now)
    with company.changing() as batch:
        enforce_limits(batch)
    verdict = company.world.verdicts[workload.id]
    assert verdict.reason is Reason.START_TIMEOUT
    assert verdict.evidence == {"minutes": 2, "cause": f"Kubernetes refuses its pods: {REFUSAL}"}

    (attempt,) = company.world.attempts.values()
    suspended = job_seen(workload, is_suspended=True, is_confirmed_suspended=True, attempt_id=attempt.id)
    company.see(changes(suspended))
    company.now = later(company.now, PATIENCE_MS // 1000)
    with company.changing() as batch:
        look_again(batch)
    stored = company.workload(workload.id)
    assert (stored.state, stored.state_reason) == (WorkloadState.FAILED, Reason.START_TIMEOUT)
    (balance,) = company.world.balances.values()
    assert (balance.held, balance.available) == (0, 10 * MS_PER_HOUR)


def test_what_was_refused_for_a_moment_and_has_a_pod_now_is_left_to_start(company: Company) -> None:
    workload = launched(company)
    company.see(changes(refused(company, workload, 1)))
    pulling = pod_seen(workload, phase=PodPhase.PENDING, waiting_reason="ContainerCreating")
    company.see(changes(pulling))
    company.now = later(company.now, REFUSED_MS // 1000 * 3)
    assert not limits_are_due(company.world, company.now)


def test_what_another_attempt_was_refused_stops_none(company: Company) -> None:
    workload = launched(company)
    stale = replace(refused(company, workload, 1), attempt_id=AttemptId("a-earlier"))
    company.see(changes(stale))
    company.now = later(company.now, REFUSED_MS // 1000 * 3)
    assert not limits_are_due(company.world, company.now)


def running_gang(company: Company, there: int, min_pods: int | None = None) -> Workload:
    """Three pods, of which so many have started; Kubernetes has been refused the others since a second after launch."""
    grant = company.grant("ada", 30)
    workload = company.submit(pods=3, min_pods=min_pods)
    assert company.launch(workload, FundingShare(grant, 12 * MS_PER_HOUR)) == []
    company.give_job(workload)
    began = company.now
    company.see(changes(*(pod_seen(workload, number, started_at=began) for number in range(there))))
    company.see(changes(replace(refused(company, workload, 1), pods=3)))
    company.now = later(began, REFUSED_MS // 1000 + 1)
    return workload


def test_a_gang_of_which_some_pods_are_refused_is_stopped_as_soon_and_told_how_many_are_there(
    company: Company,
) -> None:
    workload = running_gang(company, there=2)
    assert company.workload(workload.id).state is WorkloadState.RUNNING
    assert limits_are_due(company.world, company.now)
    with company.changing() as batch:
        enforce_limits(batch)
    verdict = company.world.verdicts[workload.id]
    assert verdict.reason is Reason.START_TIMEOUT
    cause = f"2 of its 3 pods are there, and Kubernetes refuses more: {REFUSAL}"
    assert verdict.evidence == {"minutes": 2, "cause": cause}


WHOLE_ENOUGH = {"has had all its pods": (3, None), "is elastic and has its minimum": (2, 2)}


@pytest.mark.parametrize(("there", "min_pods"), WHOLE_ENOUGH.values(), ids=WHOLE_ENOUGH)
def test_what_runs_is_left_alone_whatever_was_refused_where_it(
    company: Company, there: int, min_pods: int | None
) -> None:
    workload = running_gang(company, there, min_pods)
    assert not limits_are_due(company.world, company.now)
    with company.changing() as batch:
        assert enforce_limits(batch) == []
    assert company.workload(workload.id).state is WorkloadState.RUNNING
