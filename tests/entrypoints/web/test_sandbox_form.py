"""What the form that starts a sandbox offers."""

from dataclasses import replace

from scheduler.domain.units import PriorityClassName
from scheduler.domain.workloads import WorkloadKind
from scheduler.entrypoints.web.sandbox_form import choices
from tests.lifecycle.build import FULL, ROLLING, SPOT, Company, policy


def test_only_priority_classes_that_a_sandbox_may_be_of_are_offered() -> None:
    known = policy()
    for_jobs = replace(known.priority_classes[FULL], kinds=frozenset({WorkloadKind.JOB}))
    company = Company()
    offered = choices(
        replace(known, priority_classes={**known.priority_classes, FULL: for_jobs}), company.engineer("ada")
    )
    company.close()
    assert [PriorityClassName(each.value) for each in offered.priority_classes] == [ROLLING, SPOT]
