"""Who acts: engineers, their teams and tiers, and the roles that give rights."""

from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.domain.errors import NotPermitted, RefusalCode
from scheduler.domain.units import EngineerId, TeamName, TierName


class Role(StrEnum):
    ENGINEER = "engineer"
    LEAD = "lead"
    """Sees the sums of their team."""
    OPERATOR = "operator"
    """Runs the platform: policies, brakes, nodes, agents."""
    FINANCE = "finance"
    """Reads all statements, makes ad-hoc grants."""
    PEOPLE = "people"
    """Grants compensation."""
    AUDITOR = "auditor"
    """Reads everything that was recorded, changes nothing."""
    GATEWAY = "gateway"
    """A gateway to models: holds and charges tokens for the engineers that it serves, nothing else."""
    AGENT = "agent"
    """A node's agent: posts that node's inventory and windows, nothing else."""


@dataclass(frozen=True, slots=True)
class Engineer:
    """A person with a subject in the identity provider. `name` is personal data and lives in one erasable table."""

    id: EngineerId
    subject: str
    team: TeamName
    tier: TierName
    name: str = ""
    roles: frozenset[Role] = frozenset({Role.ENGINEER})


ANY_NODE = "*"
"""The node of an agent's token that may speak for all of them: one secret for a whole DaemonSet, and the weaker for it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands behind a request, as authentication found it. An agent has no engineer but a node."""

    subject: str
    roles: frozenset[Role]
    engineer: EngineerId | None = None
    team: TeamName | None = None
    node: str | None = None
    right: Role | None = None
    """The role by whose right they act, once something asked for one."""

    @property
    def actor(self) -> str:
        """What the books call the caller: a person by their opaque id, so that they can be forgotten; a service or a
        node by its subject, which is no personal data."""
        return self.engineer or self.subject

    def is_called(self, actor: str) -> bool:
        """Whether the books mean the caller by this: who acted before they were in the directory stands in them by their
        subject."""
        return actor in {self.actor, self.subject}

    @property
    def role(self) -> str:
        """The role that the books record of an act: the one that allowed it. What needed none, one's own work, is
        done as an engineer by whoever is one."""
        if self.right is not None:
            return self.right.value
        if Role.ENGINEER in self.roles:
            return Role.ENGINEER.value
        return min((role.value for role in self.roles), default="")

    def require(self, *roles: Role) -> "Caller":
        """The caller as who acts by the first of these roles that they have, or by the one asked for before.

        Who changes something keeps what is returned, and records it. Raises NotPermitted (`role-required`).
        """
        if self.roles.isdisjoint(roles):
            *others, last = dict.fromkeys(role.value for role in roles)
            wanted = f"{', '.join(others)} or {last}" if others else last
            raise NotPermitted(
                f"{self.subject} lacks the role that this needs",
                code=RefusalCode.ROLE_REQUIRED,
                expected=f"the role {wanted}",
                remedy="ask an operator for the role, or somebody who has it to do this",
            )
        if self.right in roles:
            return self
        return replace(self, right=next(role for role in roles if role in self.roles))

    def acting_for(self, owner: EngineerId) -> "Caller":
        """By their own right over what is theirs, as an operator over what is somebody else's."""
        return self if owner == self.engineer else self.require(Role.OPERATOR)

    def has(self, *roles: Role) -> bool:
        return not self.roles.isdisjoint(roles)
