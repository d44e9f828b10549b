"""What fails is tried again by rule, with a Job of its own; preemptions use up no retry; all tries have a limit."""

from dataclasses import replace

import pytest

from scheduler.decision.evidence import held_back
from scheduler.decision.plan import Verdict
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import ObservedJob, PodPhase
from scheduler.domain.policy import Policy
from scheduler.domain.reasons import Reason
from scheduler.domain.retries import RetryRule
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, JobUid, PerMille, PodUid
from scheduler.domain.workloads import Origin, Workload, WorkloadState
from scheduler.lifecycle.running.act import next_action
from scheduler.lifecycle.running.record import stop_attempt
from scheduler.lifecycle.views.workloads import workload_views
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen, policy

RULE = RetryRule("any", retries_max=2, jitter=PerMille(0))


def rules(runtime_max_ms: int | None = None) -> Policy:
    known = policy()
    return replace(known, retry_rules=(RULE,), limits=replace(known.limits, runtime_max_ms=runtime_max_ms))


class Tries:
    """One job of Ada's, tried again and again."""

    def __init__(self, company: Company, runtime_max_ms: int | None = None) -> None:
        self.company = company
        self.grant: AllowanceId = company.grant("ada", 90)
        self.id = company.submit(runtime_max_ms=runtime_max_ms).id

    @property
    def workload(self) -> Workload:
        return self.company.workload(self.id)

    def run(self, seconds: int, exit_code: int | None = None, told: Reason | None = None) -> None:
        """Launch it and let it end so: of itself with a code, or because it was told to."""
        company, workload = self.company, self.workload
        company.now = max(company.now, workload.not_before)
        assert company.launch(workload, FundingShare(self.grant, 4 * MS_PER_HOUR)) == []
        uid = JobUid(f"uid-{workload.job_name}")
        with company.changing() as batch:
            batch.change_workload(company.workload(self.id), job_uid=uid)
        attempt = company.world.live_attempt(self.id)
        assert attempt is not None
        job: ObservedJob = replace(job_seen(workload), uid=uid, attempt_id=attempt.id, is_suspended=False)
        pod = replace(pod_seen(workload), uid=PodUid(f"pod-{attempt.id}"), job_uid=uid, started_at=company.now)
        company.see(changes(job, pod))
        company.now = later(company.now, seconds)
        if told is not None:
            with company.changing() as batch:
                stop_attempt(batch, attempt, told, {})
        ended = replace(pod, phase=PodPhase.FAILED, finished_at=company.now, exit_code=exit_code)
        company.see(changes(replace(job, is_failed=True, failure="BackoffLimitExceeded"), ended))

    def verdicts(self) -> list[str]:
        with self.company.store.reading() as books:
            found = books.verdicts.of_workload(self.id)
        return [f"{v.reason.value}: {v.evidence.get('cause', '')}" for v in reversed(found)]


def test_a_job_that_fails_is_queued_again_under_a_job_of_its_own_after_a_wait() -> None:
    tries = Tries(company := Company(rules()))
    tries.run(60, exit_code=1)
    first = tries.workload

    assert (first.state, first.state_reason, first.retries) == (WorkloadState.QUEUED, Reason.FAILED, 1)
    assert (first.job_name, first.job_uid) == (f"{tries.id}-1", None)
    assert first.not_before == company.now + 10_000
    assert tries.verdicts()[-2:] == ["Failed: exit code 1", "Backoff: exit code 1; retry 1 of 2"]
    created = next_action(company.world, company.world.workloads[tries.id]).action
    assert created is not None
    assert JobUid(f"uid-{tries.id}") not in company.world.workload_of_job
    company.close()


def test_the_wait_for_the_next_try_counts_down_and_goes_on_saying_why() -> None:
    tries = Tries(company := Company(rules()))
    tries.run(60, exit_code=1)
    now = later(company.now, 4)

    ruling = held_back(tries.workload, now)
    present = {tries.id: Verdict(tries.id, ruling.reason, ruling.evidence)}
    with company.store.reading() as books:
        (view,) = workload_views(books, company.world, [tries.workload], now, lambda _: True, present)

    assert view.verdict.sentence == "Waiting 6 s before the next try: exit code 1; retry 1 of 2."
    company.close()


def test_a_job_of_kubectl_is_tried_by_the_same_rules_and_a_preemption_uses_up_none() -> None:
    tries = Tries(company := Company(rules()))
    with company.changing() as batch:
        applied = batch.change_workload(tries.workload, origin=Origin.KUBECTL, job_name=tries.workload.spec.name)
    names = []
    for code in (1, None, 1):
        tries.run(60, exit_code=code, told=Reason.PREEMPTED if code is None else None)
        names.append(tries.workload.job_name)
    tries.run(60, exit_code=1)

    first = applied.job_name
    assert names == [f"{first}-2", f"{first}-3", f"{first}-4"]
    assert (tries.workload.state, tries.workload.job_name) == (WorkloadState.FAILED, f"{first}-4")
    assert next_action(company.world, tries.workload).is_done, "what failed is its user's to look at"
    company.close()


def test_after_its_retries_it_has_failed() -> None:
    tries = Tries(company := Company(rules()))
    for _ in range(3):
        assert tries.workload.state is WorkloadState.QUEUED
        tries.run(60, exit_code=1)

    assert (tries.workload.state, tries.workload.job_name) == (WorkloadState.FAILED, f"{tries.id}-2")
    company.close()


def test_a_preemption_whose_job_came_to_its_end_uses_up_no_retry() -> None:
    tries = Tries(company := Company(rules()))
    for number in range(4):
        tries.run(60, exit_code=143, told=Reason.PREEMPTED)
        assert (tries.workload.state_reason, tries.workload.retries) == (Reason.PREEMPTED, number + 1)
        assert tries.workload.not_before <= company.now
    tries.run(60, exit_code=1)

    assert tries.verdicts()[-1] == "Backoff: exit code 1; retry 1 of 2"
    company.close()


def test_what_failed_of_itself_while_it_was_preempted_has_failed() -> None:
    tries = Tries(company := Company(rules()))
    tries.run(60, exit_code=1, told=Reason.PREEMPTED)

    assert tries.workload.state_reason is Reason.FAILED
    company.close()


@pytest.mark.parametrize("seconds_later", [0, 2])
def test_of_a_gang_the_code_of_whoever_failed_first_is_judged_and_not_of_those_told_to_end_for_it(
    seconds_later: int,
) -> None:
    usage = RetryRule("usage", exit_codes=frozenset({2}), retries_max=0)
    company = Company(replace(rules(), retry_rules=(usage, RULE)))
    grant = company.grant("ada", 90)
    workload = company.submit(pods=3)
    assert company.launch(workload, FundingShare(grant, 12 * MS_PER_HOUR)) == []
    uid = company.give_job(workload)
    company.see(changes(job_seen(workload, uid=uid, is_suspended=False)))
    ends = [(143, seconds_later), (2, 0), (1, 2)]
    pods = [
        pod_seen(
            workload,
            number,
            phase=PodPhase.FAILED,
            started_at=company.now,
            finished_at=later(company.now, 60 + after),
            exit_code=code,
        )
        for number, (code, after) in enumerate(ends)
    ]
    company.now = later(company.now, 70)
    company.see(changes(*pods, job_seen(workload, uid=uid, is_suspended=False, is_failed=True)))

    with company.store.reading() as books:
        assert books.verdicts.of_workload(workload.id)[0].evidence == {"cause": "exit code 2", "exit_code": 2}
    assert company.workload(workload.id).state is WorkloadState.FAILED, "a usage error is never tried again"
    company.close()


def test_without_a_rule_nothing_is_tried_again() -> None:
    tries = Tries(company := Company(policy()))
    tries.run(60, exit_code=1)

    assert (tries.workload.state, tries.workload.retries) == (WorkloadState.FAILED, 0)
    company.close()


def test_all_tries_together_run_no_longer_than_the_runtime() -> None:
    tries = Tries(company := Company(rules(runtime_max_ms=3 * MS_PER_HOUR)), runtime_max_ms=2 * MS_PER_HOUR)
    tries.run(3600, exit_code=143, told=Reason.PREEMPTED)
    tries.run(1800, exit_code=1)
    attempt_limits = []
    with company.store.reading() as books:
        attempt_limits = [attempt.time_limit_ms for attempt in books.attempts.of_workload(tries.id)]
    assert attempt_limits == [2 * MS_PER_HOUR, MS_PER_HOUR]
    tries.run(1800, exit_code=1)

    assert (tries.workload.state, tries.workload.state_reason) == (WorkloadState.FAILED, Reason.RUNTIME_LIMIT)
    assert tries.verdicts()[-2:] == ["Failed: exit code 1", "RuntimeLimit: "], (
        "nobody is told to wait for another try"
    )
    with company.store.reading() as books:
        assert books.verdicts.of_workload(tries.id)[0].evidence == {"limit": "2 h"}
    company.close()


def test_whose_last_try_is_stopped_at_the_rest_of_the_runtime_is_told_of_the_runtime() -> None:
    tries = Tries(company := Company(policy()), runtime_max_ms=2 * MS_PER_HOUR)
    tries.run(3600, exit_code=143, told=Reason.PREEMPTED)
    tries.run(3601, exit_code=143, told=Reason.TIME_LIMIT)

    assert (tries.workload.state, tries.workload.state_reason) == (WorkloadState.FAILED, Reason.RUNTIME_LIMIT)
    assert tries.verdicts()[-2:] == ["TimeLimit: ", "RuntimeLimit: "]
    company.close()
