"""The files under policies/ are what they say they are."""

from collections import Counter
from pathlib import Path

import pytest

from scheduler.adapters.policy_files import check_policy, check_prices, read_people, read_policy
from scheduler.domain.people import Role
from scheduler.domain.quantities import UnitKind, measure
from scheduler.domain.units import EngineerId

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((ROOT / "policies").glob("*.yaml")), ids=lambda path: path.name)
def test_every_file_under_policies_is_accepted(path: Path) -> None:
    if path.name == "people.yaml":
        example = read_policy((ROOT / "policies/example.yaml").read_bytes(), "example.yaml")
        people = read_people(path.read_bytes(), path.name, EngineerId, example)
        assert {engineer.team for engineer in people} == set(example.pool_of_team)
        assert {engineer.tier for engineer in people} == set(example.tiers)
        held = Counter(role for engineer in people for role in engineer.roles)
        assert held[Role.OPERATOR] > 1, "one proposes people, tokens and policies, another approves them"
        assert held[Role.PEOPLE] > 1, "and so of pay"
        assert held[Role.FINANCE] > 0, "prices are of finance, and operators approve them"
        return
    if path.name == "prices.yaml":
        _, problems = check_prices(path.read_bytes(), path.name)
        assert problems == ()
        return
    policy, problems = check_policy(path.read_bytes(), path.name)
    assert problems == ()
    assert policy is not None
    assert policy.default_priority_class is not None


def test_the_example_of_units_has_every_kind_of_unit() -> None:
    policy = read_policy((ROOT / "policies/units.yaml").read_bytes(), "units.yaml")
    units = [each.unit for tier in policy.tiers.values() for each in tier.beside]
    assert {measure(unit).kind for unit in units} == set(UnitKind) - {UnitKind.STANDARD}
