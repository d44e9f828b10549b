"""Refusals that a submission meets before anything is written."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from scheduler.domain.cluster import PodRequest
from scheduler.domain.errors import Refusal, RefusalCode
from scheduler.domain.topology import topology_ask
from scheduler.domain.units import MS_PER_DAY, Instant, TeamName, TierName
from scheduler.domain.workloads import WorkloadKind
from scheduler.lifecycle.awarding.expire import expire_due
from scheduler.lifecycle.memory.world import World
from tests.lifecycle.build import H100, Company, job_spec


def test_without_a_policy_nothing_can_be_asked_for() -> None:
    with pytest.raises(Refusal) as refused:
        World().require_policy()
    assert refused.value.code is RefusalCode.NO_POLICY
    assert "allot policy apply" in refused.value.remedy


def _too_wide(company: Company) -> None:
    company.submit(pods=8)


def _without_a_tier(company: Company) -> None:
    ada = company.engineer("ada")
    company.world.put_people([replace(ada, tier=TierName("guest"))])
    company.submit()


def _of_a_team_without_a_pool(company: Company) -> None:
    ada = company.engineer("ada")
    company.world.put_people([replace(ada, team=TeamName("nowhere"))])
    company.submit()


def _after_the_expiry(company: Company) -> None:
    company.now = Instant(company.now + 2 * MS_PER_DAY)
    company.submit()


def _after_the_expiry_was_booked(company: Company) -> None:
    company.now = Instant(company.now + 2 * MS_PER_DAY)
    with company.changing() as batch:
        assert expire_due(batch) == 1
    assert company.world.balances == {}
    company.submit()


def _without_hours(company: Company) -> None:
    company.submit("bob")


def _in_a_rack_that_no_policy_names(company: Company) -> None:
    company.submit(topology=topology_ask("prefer:rack"))


def _in_one_node_that_holds_less(company: Company) -> None:
    company.submit(pods=2, pod=PodRequest(4, 1000, 1024), topology=topology_ask("require:node"))


def _a_sandbox_of_an_image_that_only_jobs_may_run(company: Company) -> None:
    company.submit(kind=WorkloadKind.SANDBOX)


def _twice_of_one_class(company: Company) -> None:
    company.submit(gpu_classes=(H100, H100))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        pytest.param(_twice_of_one_class, RefusalCode.INVALID_VALUE, id="a GPU class that is named twice"),
        pytest.param(_too_wide, RefusalCode.GPU_LIMIT, id="more GPUs than the tier may run at once"),
        pytest.param(_without_a_tier, RefusalCode.UNKNOWN_TIER, id="a tier that the policy does not know"),
        pytest.param(_of_a_team_without_a_pool, RefusalCode.UNKNOWN_TEAM, id="a team that the policy does not know"),
        pytest.param(_after_the_expiry, RefusalCode.ALLOWANCE_EXPIRED, id="an allowance that has expired"),
        pytest.param(_after_the_expiry_was_booked, RefusalCode.ALLOWANCE_EXPIRED, id="one whose rest was taken"),
        pytest.param(_without_hours, RefusalCode.ALLOWANCE_SHORT, id="no allowance at all"),
        pytest.param(
            _in_a_rack_that_no_policy_names, RefusalCode.UNKNOWN_TOPOLOGY_LEVEL, id="a level that no policy names"
        ),
        pytest.param(
            _a_sandbox_of_an_image_that_only_jobs_may_run, RefusalCode.UNKNOWN_IMAGE, id="an image that is for jobs"
        ),
        pytest.param(_in_one_node_that_holds_less, RefusalCode.UNPLACEABLE, id="a level that holds too little"),
    ],
)
def test_what_can_never_be_paid_or_placed_is_refused_at_once(
    company: Company, asked: Callable[[Company], None], code: RefusalCode
) -> None:
    company.grant("ada", 10, expires_at=Instant(company.now + MS_PER_DAY))
    with pytest.raises(Refusal) as refused:
        asked(company)
    assert refused.value.code is code
    assert refused.value.remedy or refused.value.expected
    with company.store.reading() as books:
        assert books.workloads.count() == 0


def test_the_spec_that_these_spoil_is_accepted_as_it_is(company: Company) -> None:
    company.grant("ada", 10)
    assert company.submit().spec == job_spec()


def test_a_gang_for_which_all_nodes_are_too_few_is_told_how_many_of_its_pods_they_would_hold(
    company: Company,
) -> None:
    company.grant("ada", 10)
    most = len(company.world.nodes)
    cpu_milli = max(node.cpu_milli for node in company.world.nodes.values())
    with pytest.raises(Refusal) as refused:
        company.submit(pods=most + 1, pod=PodRequest(1, cpu_milli, 1024))
    assert refused.value.code is RefusalCode.UNPLACEABLE
    assert refused.value.where == "pods"
    assert refused.value.expected == f"at most {most} pods of that size"
    assert f"were they empty, those of one class would hold {most} such pods" in str(refused.value)


def test_a_pod_that_no_node_is_large_enough_for_is_told_so(company: Company) -> None:
    company.grant("ada", 10)
    cpu_milli = max(node.cpu_milli for node in company.world.nodes.values())
    with pytest.raises(Refusal) as refused:
        company.submit(pod=PodRequest(1, cpu_milli + 1, 1024))
    assert "none is large enough for one such pod" in str(refused.value)
    assert "hold 0" not in str(refused.value)


def test_a_gang_that_no_domain_could_hold_is_told_of_the_largest(company: Company) -> None:
    company.grant("ada", 10)
    with pytest.raises(Refusal) as refused:
        _in_one_node_that_holds_less(company)
    assert "the largest, n0, holds 1 such pod of h100" in str(refused.value).lower()
    assert refused.value.expected == "at most 1 pod in one node"
    assert company.submit(pods=2, pod=PodRequest(2, 1000, 1024), topology=topology_ask("require:node")).spec.pods == 2
