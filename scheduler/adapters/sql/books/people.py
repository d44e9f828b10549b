"""People and tokens in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Select, delete, select, update

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.querying import insert_all, next_number, rows_by_id, update_all
from scheduler.adapters.sql.tables.approvals import proposed_people
from scheduler.adapters.sql.tables.control import commands
from scheduler.adapters.sql.tables.people import engineers, tokens
from scheduler.adapters.sql.tables.proofs import role_changes
from scheduler.domain.access import RoleChange, TokenRecord
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.units import EngineerId, Instant

AGENT_PREFIX = "node:"
"""An agent's subject is `node:NAME`: that is how a token says which node it speaks for."""

_ENGINEER = RowCodec(Engineer, engineers)
_TOKEN = RowCodec(TokenRecord, tokens)
_CHANGE = RowCodec(RoleChange, role_changes)
_IDS = select(engineers.c.id)


@dataclass(frozen=True, slots=True)
class SqlPeople:
    """A PeopleBook."""

    connection: Connection

    def save(self, saved: Sequence[Engineer]) -> None:
        """New ones are added, known ones overwritten."""
        latest = {engineer.id: _ENGINEER.write(engineer) for engineer in saved}
        known = {row[0] for row in rows_by_id(self.connection, _IDS, engineers.c.id, latest)}
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
        """Their tokens and what they asked under keys of their own go too: these name the subject."""
        subject = select(engineers.c.subject).where(engineers.c.id == engineer_id).scalar_subquery()
        self.connection.execute(delete(tokens).where(tokens.c.subject == subject))
        self.connection.execute(delete(commands).where(commands.c.caller == subject))
        self.connection.execute(delete(proposed_people).where(proposed_people.c.engineer_id == engineer_id))
        erased = update(engineers).where(engineers.c.id == engineer_id).values(name="", subject="", roles="[]")
        self.connection.execute(erased)

    def add_token(self, token: TokenRecord) -> None:
        insert_all(self.connection, tokens, [_TOKEN.write(token)])

    def tokens(self) -> list[TokenRecord]:
        statement = select(*_TOKEN.columns).order_by(tokens.c.subject, tokens.c.token_hash)
        return _TOKEN.read_all(self.connection.execute(statement))

    def add_role_changes(self, changes: Sequence[RoleChange]) -> None:
        first = next_number(self.connection, role_changes.c.seq)
        rows = [_CHANGE.write(change) | {"seq": first + place} for place, change in enumerate(changes)]
        insert_all(self.connection, role_changes, rows)

    def role_changes(self) -> list[RoleChange]:
        return _CHANGE.read_all(self.connection.execute(select(*_CHANGE.columns).order_by(role_changes.c.seq)))

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
