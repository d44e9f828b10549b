"""Whose books, pay or work is asked for: an engineer's, a team's, a project's or the company's; and who may see it."""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.errors import InvalidInput, NotFound, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.units import EngineerId, ProjectName, TeamName
from scheduler.lifecycle.memory.world import World

SEES_MONEY = (Role.FINANCE, Role.AUDITOR, Role.PEOPLE)
SEES_ALL = (Role.OPERATOR, Role.AUDITOR)


def sees_pay_of(caller: Caller, owner: EngineerId) -> bool:
    """What somebody has left and has used is theirs, and for who looks after the money."""
    return caller.engineer == owner or caller.has(*SEES_MONEY)


def sees_work_of(caller: Caller, owner: EngineerId, team: str) -> bool:
    """Their own; a lead the team's; whoever runs, pays or audits the platform everybody's."""
    is_leads = caller.has(Role.LEAD) and caller.team == team
    return caller.engineer == owner or is_leads or caller.has(*SEES_ALL, Role.FINANCE)


def whose_work(
    caller: Caller, owner: EngineerId | None, team: TeamName | None
) -> tuple[EngineerId | None, TeamName | None]:
    """The owner and the team of the work that a list of what was asked for may show. Raises NotPermitted (`not-yours`)."""
    if caller.has(*SEES_ALL):
        return owner, team
    if caller.has(Role.LEAD) and caller.team is not None and owner != caller.engineer:
        if team not in {None, caller.team}:
            raise _anothers_work("team", f"the team {caller.team}")
        return owner, caller.team
    if caller.engineer is None or owner not in {None, caller.engineer}:
        raise _anothers_work("owner", "an engineer's own, or a lead's team's")
    return caller.engineer, team


def _anothers_work(where: str, expected: str) -> NotPermitted:
    return NotPermitted(
        "these are somebody else's workloads", where=where, code=RefusalCode.NOT_YOURS, expected=expected
    )


class OwnerKind(StrEnum):
    ENGINEER = "engineer"
    TEAM = "team"
    PROJECT = "project"
    COMPANY = "company"


@dataclass(frozen=True, slots=True)
class Owner:
    """`holders` None is everybody. `name` is a person's where the owner is one. `sees_lines` is False for a lead, who
    sees the sums of the team."""

    kind: OwnerKind
    id: str
    name: str
    team: str
    holders: frozenset[Holder] | None
    engineers: frozenset[EngineerId]
    sees_lines: bool = True


def owner_for(world: World, caller: Caller, text: str | None) -> Owner:
    """The owner that is meant, where the caller may see their books.

    `text` is an engineer's id or subject, a team, a project, or `company`; `engineer:`, `team:` and `project:` say
    which. Left out, it is the caller. Raises NotPermitted (`not-yours`) before it tells who there is.
    """
    if text is None:
        if caller.engineer is None:
            raise _nobody_named()
        text = caller.engineer
    prefix, _, rest = text.partition(":")
    kind = next((kind for kind in OwnerKind if kind.value == prefix and rest), None)
    name = rest if kind is not None else text
    owner = _find(world, kind, name)
    if caller.has(*SEES_MONEY):
        if owner is None:
            raise _unknown(kind, text)
        return owner
    if owner is not None and owner.kind is OwnerKind.ENGINEER and caller.engineer == owner.id:
        return owner
    is_group = owner is not None and owner.kind in {OwnerKind.TEAM, OwnerKind.PROJECT}
    if owner is not None and is_group and caller.has(Role.LEAD) and caller.team == owner.team:
        return Owner(owner.kind, owner.id, owner.name, owner.team, owner.holders, owner.engineers, sees_lines=False)
    raise NotPermitted(
        "this is somebody else's pay data",
        code=RefusalCode.NOT_YOURS,
        where="owner",
        expected="the engineer themselves, the team's lead for its sums, finance, people or an auditor",
    )


def engineer_for(world: World, caller: Caller, named: EngineerId | None) -> Engineer:
    """The engineer of that id or subject, or else the caller, where the caller may see their pay data.

    Raises NotPermitted (`not-yours`) before it tells who there is.
    """
    wanted = named if named is not None else caller.engineer
    if wanted is None:
        raise _nobody_named()
    engineer = _person(world, wanted)
    if not sees_pay_of(caller, engineer.id if engineer is not None else wanted):
        raise NotPermitted(
            "this is somebody else's pay data",
            code=RefusalCode.NOT_YOURS,
            expected="the engineer themselves, finance, people or an auditor",
        )
    if engineer is None:
        raise _unknown(OwnerKind.ENGINEER, wanted)
    return engineer


def _nobody_named() -> InvalidInput:
    return InvalidInput("whose?", where="owner", expected="an engineer", remedy="name one with --owner")


def _find(world: World, kind: OwnerKind | None, name: str) -> Owner | None:
    makers = {
        OwnerKind.ENGINEER: _engineer,
        OwnerKind.TEAM: _team,
        OwnerKind.PROJECT: _project,
        OwnerKind.COMPANY: _company,
    }
    for candidate in OwnerKind if kind is None else (kind,):
        owner = makers[candidate](world, name)
        if owner is not None:
            return owner
    return None


def _engineer(world: World, name: str) -> Owner | None:
    known = _person(world, name)
    return None if known is None else of_engineer(known)


def _person(world: World, name: str) -> Engineer | None:
    """By id, or by subject."""
    return world.people.get(EngineerId(name)) or next(
        (person for person in list(world.people.values()) if person.subject == name), None
    )


def of_engineer(engineer: Engineer) -> Owner:
    return Owner(
        OwnerKind.ENGINEER,
        engineer.id,
        engineer.name or engineer.subject,
        engineer.team,
        frozenset({Holder(HolderKind.ENGINEER, engineer.id)}),
        frozenset({engineer.id}),
    )


def _team(world: World, name: str) -> Owner | None:
    """The team's own allowances, those of its projects, and those of its people."""
    policy = world.require_policy()
    people = frozenset(person.id for person in list(world.people.values()) if person.team == name)
    if name not in policy.pool_of_team and not people:
        return None
    holders = {Holder(HolderKind.TEAM, name)}
    holders |= {
        Holder(HolderKind.PROJECT, project.name) for project in policy.projects.values() if project.team == name
    }
    holders |= {Holder(HolderKind.ENGINEER, person) for person in people}
    return Owner(OwnerKind.TEAM, name, name, name, frozenset(holders), people)


def _project(world: World, name: str) -> Owner | None:
    project = world.require_policy().projects.get(ProjectName(name))
    if project is None:
        return None
    holders = frozenset({Holder(HolderKind.PROJECT, name)})
    return Owner(OwnerKind.PROJECT, name, name, project.team, holders, frozenset())


def _company(world: World, name: str) -> Owner | None:
    if name != OwnerKind.COMPANY.value:
        return None
    return Owner(OwnerKind.COMPANY, name, "Company", "", None, frozenset(list(world.people)))


def _unknown(kind: OwnerKind | None, text: str) -> NotFound:
    if kind is OwnerKind.ENGINEER:
        return NotFound(f"there is no engineer {text!r}", code=RefusalCode.UNKNOWN_ENGINEER, where="owner")
    return NotFound(
        f"there are no books of {text!r}",
        code=RefusalCode.UNKNOWN_OWNER,
        where="owner",
        expected="an engineer's id or subject, a team, a project, or company",
    )
