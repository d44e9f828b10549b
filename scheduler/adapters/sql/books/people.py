"""People and tokens in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Select, delete, select, update

from scheduler.adapters.sql.codec import RowCodec, to_json
from scheduler.adapters.sql.querying import insert_all, rows_by_id, update_all
from scheduler.adapters.sql.tables.people import engineers, tokens
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.units import EngineerId, Instant

AGENT_PREFIX = "node:"
"""An agent's subject is `node:NAME`: that is how a token says which node it speaks for."""

_ENGINEER = RowCodec(Engineer, engineers)


@dataclass(frozen=True, slots=True)
class SqlPeople:
    """A PeopleBook."""

    connection: Connection

    def save(self, saved: Sequence[Engineer]) -> None:
        """New ones are added, known ones overwritten."""
        latest = {engineer.id: _ENGINEER.write(engineer) for engineer in saved}
        known = {row[0] for row in rows_by_id(self.connection, select(engineers.c.id), engineers.c.id, latest)}
        update_all(self.connection, engineers, engineers.c.id, [row for i, row in latest.items() if i in known])
        insert_all(self.connection, engineers, [row for i, row in latest.items() if i not in known])

    def get(self, engineer_id: EngineerId) -> Engineer | None:
        return self._first(select(*_ENGINEER.columns).where(engineers.c.id == engineer_id))

    def by_subject(self, subject: str) -> Engineer | None:
        if not subject:
            return None  # those who were forgotten share the empty subject
        return self._first(select(*_ENGINEER.columns).where(engineers.c.subject == subject))

    def all(self) -> list[Engineer]:
        statement = select(*_ENGINEER.columns).order_by(engineers.c.id)
        return _ENGINEER.read_all(self.connection.execute(statement))

    def forget(self, engineer_id: EngineerId) -> None:
        """Their tokens go too: they name the subject."""
        subject = select(engineers.c.subject).where(engineers.c.id == engineer_id).scalar_subquery()
        self.connection.execute(delete(tokens).where(tokens.c.subject == subject))
        erased = update(engineers).where(engineers.c.id == engineer_id).values(name="", subject="")
        self.connection.execute(erased)

    def add_token(self, token_hash: str, subject: str, roles: frozenset[Role], expires_at: Instant | None) -> None:
        row = {"token_hash": token_hash, "subject": subject, "roles": to_json(roles), "expires_at": expires_at}
        insert_all(self.connection, tokens, [row])

    def caller_of(self, token_hash: str, now: Instant) -> Caller | None:
        row = self.connection.execute(select(tokens).where(tokens.c.token_hash == token_hash)).first()
        if row is None or (row.expires_at is not None and row.expires_at <= now):
            return None
        roles = frozenset(Role(role) for role in orjson.loads(row.roles))
        if Role.AGENT in roles:
            return Caller(row.subject, roles, node=row.subject.removeprefix(AGENT_PREFIX))
        engineer = self.by_subject(row.subject)
        if engineer is None:
            return Caller(row.subject, roles)
        return Caller(row.subject, roles, engineer=engineer.id, team=engineer.team)

    def revoke_token(self, token_hash: str) -> None:
        self.connection.execute(delete(tokens).where(tokens.c.token_hash == token_hash))

    def _first(self, statement: Select[*tuple[Any, ...]]) -> Engineer | None:
        row = self.connection.execute(statement).first()
        return None if row is None else _ENGINEER.read(row)
