"""What a workload is said to cost at most, where it may run on GPU classes of different weights."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.domain.cluster import GpuClass
from scheduler.domain.funding import FundingShare
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, PerMille
from scheduler.domain.workloads import Workload
from scheduler.lifecycle.views.reader import Views
from tests.lifecycle.build import H100, Company, policy

B200 = GpuClassName("B200")
OPERATOR = Caller("olga", frozenset({Role.OPERATOR}))


@pytest.fixture
def company() -> Iterator[Company]:
    """Ada's small cluster with a second GPU class at twice the weight."""
    known = policy()
    dear = GpuClass(B200, PerMille(2000), (("gpu", "b200"),))
    made = Company(replace(known, gpu_classes={**known.gpu_classes, B200: dear}))
    yield made
    made.close()


def at_most(company: Company, workload: Workload) -> int:
    return Views(company.store, company.world).workload(OPERATOR, workload.id, company.now).asked


def test_what_waits_costs_at_most_what_the_dearest_of_its_classes_does_and_what_runs_its_own(
    company: Company,
) -> None:
    grant = company.grant("ada", 1000)
    workload = company.submit(gpu_classes=(H100, B200))
    on_h100 = workload.spec.gpus * workload.spec.time_limit_ms
    assert at_most(company, workload) == 2 * on_h100
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    assert at_most(company, workload) == on_h100
