"""The people directory: who there is, with subject, team, tier and roles. Names in it are personal data."""

import unicodedata
from collections.abc import Callable

from scheduler.adapters.policy_files.document import parse, quoted
from scheduler.adapters.policy_files.kinds import Choice, ListOf, Name, Reading, Text, Whole, did_you_mean
from scheduler.adapters.policy_files.problems import Problem, Problems, refusal
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.adapters.policy_files.seeming import deceives
from scheduler.domain.errors import RefusalCode
from scheduler.domain.people import Engineer, Role
from scheduler.domain.policy import Policy
from scheduler.domain.units import EngineerId, TeamName, TierName

SUBJECT = Field(
    "subject",
    Text("a subject without spaces, as the identity provider gives it", r"[^\s\x00-\x1f\x7f]+", length_max=255),
    "who they are to the identity provider; each once",
    is_required=True,
)
FULL_NAME = Field("name", Text("a name", length_max=255), "what people call them", absent="the subject")
TEAM = Field("team", Name(), "their team, which the policy puts in a pool", is_required=True)
TIER = Field("tier", Name(), "their tier of the policy", is_required=True)
ROLES = Field("roles", ListOf(Choice(Role)), "what they may do", default=(Role.ENGINEER,))
ENGINEER = Section("engineers[]", "One person.", (SUBJECT, FULL_NAME, TEAM, TIER, ROLES))
VERSION = Field("version", Whole(1, 1), "the version of this format", is_required=True)
ENGINEERS = Field("engineers", ListOf(ENGINEER, high=100_000, is_distinct=False), "the people", is_required=True)
DIRECTORY = Section("the file", "The people.", (VERSION, ENGINEERS))

SECTIONS: tuple[Section, ...] = (DIRECTORY, ENGINEER)


def read_people(
    source: bytes | str, name: str, id_of: Callable[[str], EngineerId], policy: Policy | None = None
) -> tuple[Engineer, ...]:
    """The engineers in the order of the file. `id_of` makes the opaque id of a subject.

    With a policy, teams and tiers that it does not know are refused. Raises InvalidInput `invalid-directory`.
    """
    engineers, problems = check_people(source, id_of, policy)
    if problems:
        raise refusal(name, problems, RefusalCode.INVALID_DIRECTORY)
    return engineers


def check_people(
    source: bytes | str, id_of: Callable[[str], EngineerId], policy: Policy | None = None
) -> tuple[tuple[Engineer, ...], tuple[Problem, ...]]:
    """The engineers, or everything that is wrong with the file, in its order."""
    data = source.encode("utf-8", errors="surrogatepass") if isinstance(source, str) else source
    problems = Problems()
    root = parse(data, problems)
    if root is None:
        return (), problems.in_order()
    reading = Reading(problems)
    directory = DIRECTORY.read(root, "", reading)
    records = (directory.find(ENGINEERS) if directory is not None else None) or ()
    _check_subjects(records, reading)
    _check_seeming(records, reading)
    if policy is not None:
        _check_names(records, policy, reading)
    if problems:
        return (), problems.in_order()
    return tuple(_engineer(record, id_of) for record in records), ()


def _check_subjects(records: tuple[Record, ...], reading: Reading) -> None:
    """Each once, however its letters are written: é is one character or two."""
    seen: dict[str, Record] = {}
    for record in records:
        subject = record.find(SUBJECT)
        if subject is None:
            continue
        first = seen.setdefault(unicodedata.normalize("NFKC", subject), record)
        if first is not record:
            known = f"{quoted(subject)} again, first in line {first.mark_of(SUBJECT).line}"
            reading.refuse(record.mark_of(SUBJECT), f"{record.path}.subject", known, "each subject once")


def _check_seeming(records: tuple[Record, ...], reading: Reading) -> None:
    """Who approves a grant reads a name, not its bytes."""
    for record in records:
        for field in (SUBJECT, FULL_NAME):
            text = record.find(field) or ""
            if why := deceives(text):
                expected = f"a {field.key} in which every character is seen, and each word is of one alphabet"
                reading.refuse(record.mark_of(field), f"{record.path}.{field.key}", f"{quoted(text)}{why}", expected)


def _check_names(records: tuple[Record, ...], policy: Policy, reading: Reading) -> None:
    known: tuple[tuple[Field[str], list[str]], ...] = (
        (TEAM, sorted(policy.pool_of_team)),
        (TIER, sorted(policy.tiers)),
    )
    for record in records:
        for field, names in known:
            name = record.find(field)
            if name is not None and name not in names:
                seen = f"the unknown name {quoted(name)}{did_you_mean(name, names)}"
                expected = f"a {field.key} of the policy: {', '.join(names)}"
                reading.refuse(record.mark_of(field), f"{record.path}.{field.key}", seen, expected)


def _engineer(record: Record, id_of: Callable[[str], EngineerId]) -> Engineer:
    subject = record.value(SUBJECT)
    return Engineer(
        id=id_of(subject),
        subject=subject,
        team=TeamName(record.value(TEAM)),
        tier=TierName(record.value(TIER)),
        name=record.find(FULL_NAME) or subject,
        roles=frozenset(record.value(ROLES)),
    )
