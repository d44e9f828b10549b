"""A policy that no longer has a class, while work of that class runs or a plan for it was just made."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from scheduler.decision.plan import Launch, Plan, Preemption, Victim
from scheduler.domain.cluster import Placement
from scheduler.domain.funding import FundingShare
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, NodeName, PoolName, WorkloadId
from scheduler.domain.workloads import WorkloadState
from scheduler.lifecycle.running.record import record
from tests.lifecycle.build import FULL, H100, SPOT, Company, changes, job_seen, later, pod_seen

PLACE = Placement(((NodeName("n0"), 1),))


def without_priority_class(company: Company, name: str) -> None:
    policy = company.world.require_policy()
    kept = {each: terms for each, terms in policy.priority_classes.items() if each != name}
    company.world.put_policy(replace(policy, priority_classes=kept))


def without_gpu_class(company: Company, name: str) -> None:
    policy = company.world.require_policy()
    kept = {each: terms for each, terms in policy.gpu_classes.items() if each != name}
    company.world.put_policy(replace(policy, gpu_classes=kept))


def recorded(company: Company, plan: Plan) -> list[WorkloadId]:
    """Which intents of it were refused."""
    with company.changing() as batch:
        return record(batch, plan, company.ids.new)


def test_who_runs_in_a_class_that_is_gone_can_be_preempted(company: Company) -> None:
    grant, other = company.grant("ada", 10), company.grant("bob", 10)
    victim = company.submit(priority_class=SPOT)
    company.launch(victim, FundingShare(grant, 4 * MS_PER_HOUR))
    company.see(changes(job_seen(victim, is_suspended=False, active=1), pod_seen(victim, started_at=company.now)))
    company.now = later(company.now, 600)
    without_priority_class(company, SPOT)
    preemptor = company.submit("bob")
    launch = Launch(preemptor.id, H100, PLACE, PoolName("research"), (FundingShare(other, 4 * MS_PER_HOUR),))
    (attempt,) = company.world.attempts.values()
    chosen = (Victim(attempt.id, victim.id, "InPool", "standard over spot"),)

    assert (
        recorded(company, Plan(company.now, preemptions=(Preemption(launch, chosen, later(company.now, 300)),))) == []
    )

    verdict = company.world.verdicts[victim.id]
    assert (verdict.reason, verdict.evidence["refund_cap_minutes"]) == (Reason.PREEMPTED, 0)


@pytest.mark.parametrize(
    ("drop", "name"), [(without_priority_class, FULL), (without_gpu_class, H100)], ids=["priority class", "GPU class"]
)
def test_an_intent_for_a_class_that_went_since_the_plan_was_made_is_refused_alone(
    company: Company, drop: Callable[[Company, str], None], name: str
) -> None:
    grant = company.grant("ada", 10)
    workload = company.submit()
    launch = Launch(workload.id, H100, PLACE, PoolName("research"), (FundingShare(grant, 4 * MS_PER_HOUR),))
    drop(company, name)

    assert recorded(company, Plan(company.now, launches=(launch,))) == [workload.id]
    until = later(company.now, 300)
    assert recorded(company, Plan(company.now, preemptions=(Preemption(launch, (), until),))) == [workload.id]

    assert company.workload(workload.id).state is WorkloadState.QUEUED
    assert company.available(grant) == 10 * MS_PER_HOUR
