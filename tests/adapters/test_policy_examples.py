"""The files under policies/ are what they say they are."""

from pathlib import Path

import pytest

from scheduler.adapters.policy_files import check_policy, check_prices, read_people, read_policy
from scheduler.domain.units import EngineerId

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "policies").glob("*.yaml")), ids=lambda path: path.name)
def test_every_file_under_policies_is_accepted(path: Path) -> None:
    if path.name == "people.yaml":
        example = read_policy((ROOT / "policies/example.yaml").read_bytes(), "example.yaml")
        people = read_people(path.read_bytes(), path.name, EngineerId, example)
        assert {engineer.team for engineer in people} == set(example.pool_of_team)
        assert {engineer.tier for engineer in people} == set(example.tiers)
        return
    if path.name == "prices.yaml":
        _, problems = check_prices(path.read_bytes(), path.name)
        assert problems == ()
        return
    policy, problems = check_policy(path.read_bytes(), path.name)
    assert problems == ()
    assert policy is not None
    assert policy.default_priority_class is not None
