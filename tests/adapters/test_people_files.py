"""The people directory: who is read from it, and what is refused."""

import pytest

from scheduler.adapters.policy_files import check_people, read_people, read_policy
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.people import Engineer, Role
from scheduler.domain.units import EngineerId, TeamName, TierName

POLICY = read_policy(
    """\
version: 1
gpu_classes: {gpu: {weight_per_mille: 1000}}
priority_classes: {standard: {value: 500}}
tiers: {senior: {allowance_gpu_hours: 100}}
pools: {research: {teams: [research], quotas: {gpu: {nominal_gpus: 8}}}}
""",
    "policy.yaml",
)
TWO = """\
version: 1
engineers:
  - {subject: ada@example.com, name: Ada Moreau, team: research, tier: senior, roles: [engineer, lead]}
  - {subject: bao, team: research, tier: senior}
"""


def id_of(subject: str) -> EngineerId:
    return EngineerId(f"e-{subject}")


def test_people_are_read_with_ids_from_the_caller() -> None:
    research, senior = TeamName("research"), TierName("senior")
    assert read_people(TWO, "people.yaml", id_of, POLICY) == (
        Engineer(
            EngineerId("e-ada@example.com"),
            "ada@example.com",
            research,
            senior,
            "Ada Moreau",
            frozenset({Role.ENGINEER, Role.LEAD}),
        ),
        Engineer(EngineerId("e-bao"), "bao", research, senior, "bao", frozenset({Role.ENGINEER})),
    )


BAD = {
    "a subject twice": (
        TWO.replace("subject: bao", "subject: ada@example.com"),
        '4:6: engineers[1].subject: found "ada@example.com" again, first in line 3; expected each subject once',
    ),
    "a subject twice, with an accent of its own": (
        TWO.replace("ada@example.com", "ren\u00e9").replace("subject: bao", "subject: rene\u0301"),
        '4:6: engineers[1].subject: found "rene\u0301" again, first in line 3; expected each subject once',
    ),
    "a subject with a letter that looks like another": (
        TWO.replace("subject: bao", "subject: b\u0430o"),
        '4:6: engineers[1].subject: found "b\u0430o" (with the character U+0430); expected a subject in which every '
        "character is seen, and each word is of one alphabet",
    ),
    "a name that is read backwards": (
        TWO.replace("Ada Moreau", "Ada \u202euaeroM"),
        '3:32: engineers[0].name: found "Ada \ufffduaeroM" (with the character U+202E); expected a name in which every '
        "character is seen, and each word is of one alphabet",
    ),
    "an unknown team": (
        TWO.replace("bao, team: research", "bao, team: reserch"),
        '4:20: engineers[1].team: found the unknown name "reserch" (did you mean "research"?); '
        "expected a team of the policy: research",
    ),
    "an unknown tier": (
        TWO.replace("bao, team: research, tier: senior", "bao, team: research, tier: staff"),
        '4:36: engineers[1].tier: found the unknown name "staff"; expected a tier of the policy: senior',
    ),
    "a team with a letter that looks like another": (
        TWO.replace("bao, team: research", "bao, team: r\u0435search"),
        '4:26: engineers[1].team: found "r\u0435search" (with the character U+0435); expected a name of up to 63 letters, '
        "digits, '-', '_' or '.', beginning and ending with a letter or digit",
    ),
    "an unknown role": (
        TWO.replace("[engineer, lead]", "[engineer, boss]"),
        '3:98: engineers[0].roles[1]: found "boss"; '
        "expected one of engineer, lead, operator, finance, people, auditor, gateway, agent",
    ),
    "an unknown key": (
        TWO.replace("subject: bao", "subject: bao, email: x"),
        '4:20: engineers[1]: found the unknown key "email"; expected one of subject, name, team, tier, roles',
    ),
    "nobody": ("version: 1\nengineers: []\n", "2:12: engineers: found an empty list; expected a list of at least 1, "
               "each a mapping with the keys subject, name, team, tier, roles"),
    "empty": ("", "1:1: the file is empty; expected a mapping of keys to values"),
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        *(
            "In\u00eas Carvalho",
            "Liam O'Brien",
            "\u0414\u043c\u0438\u0442\u0440\u0438\u0439 Volkov",
            "\u7530\u4e2d Hiro",
        ),
        *(
            "\u0645\u06cc\u200c\u062a\u0631\u0627",
            "\u0394\u03ae\u03bc\u03bf\u03c2 2",
            "Ada \U0001f469\u200d\U0001f680",
        ),
    ],
)
def test_names_of_every_script_are_read(name: str) -> None:
    ada, _ = read_people(TWO.replace("Ada Moreau", f"'{name}'" if "'" not in name else name), "people.yaml", id_of)
    assert ada.name == name


@pytest.mark.parametrize("case", BAD)
def test_a_bad_directory_is_refused_with_its_place(case: str) -> None:
    source, message = BAD[case]
    people, problems = check_people(source, id_of, POLICY)
    assert people == ()
    assert [str(problem) for problem in problems] == [message]


def test_the_refusal_names_the_file_and_its_code() -> None:
    with pytest.raises(InvalidInput, match=r"^people\.yaml:1:1: the file is empty") as refused:
        read_people("", "people.yaml", id_of)
    assert refused.value.code is RefusalCode.INVALID_DIRECTORY
