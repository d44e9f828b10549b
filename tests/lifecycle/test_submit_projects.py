"""Whose hours a project's are."""

from dataclasses import replace

import pytest

from scheduler.domain.errors import NotPermitted, RefusalCode
from scheduler.domain.policy import Pool, Project
from scheduler.domain.units import PoolName, ProjectName, TeamName
from tests.lifecycle.build import Company, policy

THEIRS = ProjectName("zephyr")


def test_the_hours_of_another_teams_project_are_not_ours_to_spend() -> None:
    rules = policy()
    other = Pool(PoolName("apps"), (TeamName("apps"),), {})
    rules = replace(
        rules,
        pools={**rules.pools, other.name: other},
        projects={**rules.projects, THEIRS: Project(THEIRS, TeamName("apps"))},
    )
    company = Company(rules)
    company.grant("ada", 10)
    with pytest.raises(NotPermitted, match="zephyr is of the team apps, you are of research") as refused:
        company.submit("ada", project=THEIRS)
    assert refused.value.code is RefusalCode.ALLOWANCE_FOREIGN
    assert refused.value.expected == "one of aurora"
    company.close()
