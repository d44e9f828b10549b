"""What of a people file gives somebody more."""

from dataclasses import replace

import pytest

from scheduler.domain.access import DIRECTORY, RoleChange
from scheduler.domain.people import Engineer, Role
from scheduler.domain.rights import directory_hash, is_shared, raised_rights
from scheduler.domain.units import EngineerId, Instant, TeamName, TierName

ADA = Engineer(EngineerId("e-ada"), "ada", TeamName("research"), TierName("engineer"), "Ada")
LEAD = replace(ADA, roles=frozenset({Role.ENGINEER, Role.LEAD}))


@pytest.mark.parametrize(
    ("before", "after", "is_more"),
    [
        (None, ADA, True),
        (ADA, ADA, False),
        (ADA, replace(ADA, name="Ada L."), False),
        (ADA, LEAD, True),
        (LEAD, ADA, False),
        (LEAD, replace(ADA, roles=frozenset({Role.FINANCE})), True),
        (ADA, replace(ADA, tier=TierName("intern")), True),
        (ADA, replace(ADA, team=TeamName("platform")), True),
    ],
    ids=["new", "the same", "a name", "a role more", "a role less", "another role", "another tier", "another team"],
)
def test_more_is_a_new_person_another_team_or_tier_or_a_role_that_they_had_not(
    before: Engineer | None, after: Engineer, is_more: bool
) -> None:
    known = {} if before is None else {before.id: before}
    assert (ADA.id in raised_rights(known, [after])) is is_more


def test_the_hash_of_a_directory_is_of_what_it_gives_and_of_no_name() -> None:
    one = directory_hash([ADA])
    assert one == directory_hash([replace(ADA, name="", subject="")])
    assert one != directory_hash([LEAD])


@pytest.mark.parametrize(
    ("given", "shared"),
    [
        ([("o", "t1", "operator")], False),
        ([("o", "t1", "operator"), ("o", "t2", "people")], False),
        ([("o", "t1", "operator"), ("p", DIRECTORY, "people")], False),
        ([("o", "t1", "operator"), ("f", "t2", "finance")], False),
        ([("o", "t1", "operator"), ("p", "t2", "people")], True),
    ],
    ids=["one", "one with two tokens", "no token", "no say", "two"],
)
def test_access_is_shared_once_two_have_held_a_token_that_decides_about_it(
    given: list[tuple[str, str, str]], shared: bool
) -> None:
    changes = [RoleChange(Instant(1), who, by, role, True, "x") for who, by, role in given]
    taken = [replace(change, is_granted=False) for change in changes]
    assert is_shared(changes + taken, DIRECTORY) is shared
