"""Holds of tokens in SQL."""

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.querying import insert_all
from scheduler.adapters.sql.tables.token_holds import token_holds
from scheduler.domain.units import Instant
from scheduler.ledger.token_holds import TokenHold, TokenHoldState

_HOLD = RowCodec(TokenHold, token_holds)
_HOLDS = select(*_HOLD.columns).order_by(token_holds.c.id)


@dataclass(frozen=True, slots=True)
class SqlTokenHolds:
    """A TokenHoldBook."""

    connection: Connection

    def add(self, hold: TokenHold) -> None:
        insert_all(self.connection, token_holds, [_HOLD.write(hold)])

    def get(self, hold_id: str) -> TokenHold | None:
        row = self.connection.execute(_HOLDS.where(token_holds.c.id == hold_id)).first()
        return None if row is None else _HOLD.read(row)

    def save(self, hold: TokenHold) -> None:
        changed = {"used": hold.used, "state": hold.state.value, "resolved_at": hold.resolved_at}
        self.connection.execute(update(token_holds).where(token_holds.c.id == hold.id).values(**changed))

    def overdue(self, now: Instant, *, limit: int) -> list[TokenHold]:
        is_open = token_holds.c.state == TokenHoldState.OPEN.value
        found = _HOLDS.where(is_open, token_holds.c.expires_at <= now).limit(limit)
        return _HOLD.read_all(self.connection.execute(found))
