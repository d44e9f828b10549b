"""Who was given which role: changes as they were made, and the tokens that are out."""

from dataclasses import dataclass

from scheduler.domain.people import Role
from scheduler.domain.units import Instant

DIRECTORY = "directory"
"""The credential of a role that the people file gives."""

TOKEN_ID_LENGTH = 16


@dataclass(frozen=True, slots=True)
class RoleChange:
    """`principal` is a person's opaque id, or the name of a service or node; `credential` the directory or a token."""

    at: Instant
    principal: str
    credential: str
    role: str
    is_granted: bool
    by: str
    request_id: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is kept of a token. `issued_at` and `issued_by` are None for one from before they were kept."""

    token_hash: str
    subject: str
    roles: frozenset[Role]
    expires_at: Instant | None = None
    issued_at: Instant | None = None
    issued_by: str | None = None

    @property
    def id(self) -> str:
        """The beginning of its hash: names it, and opens nothing."""
        return self.token_hash[:TOKEN_ID_LENGTH]

    def is_good_at(self, now: Instant) -> bool:
        return self.expires_at is None or now < self.expires_at
