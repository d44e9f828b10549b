"""Who acts: engineers, their teams and tiers, and the roles that give rights."""

from dataclasses import dataclass
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

    @property
    def actor(self) -> str:
        """What the books call the caller: a person by their opaque id, so that they can be forgotten; a service or a
        node by its subject, which is no personal data."""
        return self.engineer or self.subject

    @property
    def role(self) -> str:
        """One word for what the caller may do, where one is recorded: the first of their roles by the alphabet."""
        return min((role.value for role in self.roles), default="")

    def require(self, *roles: Role) -> None:
        """Refuse with `role-required` unless the caller has one of the roles."""
        if self.roles.isdisjoint(roles):
            wanted = " or ".join(role.value for role in roles)
            raise NotPermitted(
                f"{self.subject} has not the role that this needs",
                code=RefusalCode.ROLE_REQUIRED,
                expected=f"the role {wanted}",
                remedy="ask an operator for the role, or somebody who has it to do this",
            )

    def has(self, *roles: Role) -> bool:
        return not self.roles.isdisjoint(roles)
