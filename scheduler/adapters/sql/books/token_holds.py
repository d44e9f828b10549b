"""Holds of tokens in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from scheduler.adapters.sql.codec import RowCodec
from scheduler.adapters.sql.querying import insert_all, rows_by_id
from scheduler.adapters.sql.sealing import Sealing
from scheduler.adapters.sql.tables.token_holds import token_holds
from scheduler.domain.units import Instant
from scheduler.ledger.token_holds import TokenHold, TokenHoldState

_HOLD = RowCodec(TokenHold, token_holds)
_HOLDS = select(*_HOLD.columns).order_by(token_holds.c.id)


@dataclass(frozen=True, slots=True)
class SqlTokenHolds:
    """A TokenHoldBook."""

    connection: Connection
    sealing: Sealing

    def add(self, hold: TokenHold) -> None:
        row = _HOLD.write(hold)
        insert_all(self.connection, token_holds, [row])
        self.sealing.written(token_holds, [row])

    def get(self, hold_id: str) -> TokenHold | None:
        row = self.connection.execute(_HOLDS.where(token_holds.c.id == hold_id)).first()
        return None if row is None else _HOLD.read(row)

    def save(self, hold: TokenHold) -> None:
        changed = {"used": hold.used, "state": hold.state.value, "resolved_at": hold.resolved_at}
        self.connection.execute(update(token_holds).where(token_holds.c.id == hold.id).values(**changed))
        self.sealing.written(token_holds, [_HOLD.write(hold)])

    def many(self, ids: Sequence[str]) -> Mapping[str, TokenHold]:
        found = rows_by_id(self.connection, _HOLDS, token_holds.c.id, ids)
        return {hold.id: hold for hold in _HOLD.read_all(found)}

    def overdue(self, now: Instant, *, limit: int) -> list[TokenHold]:
        is_open = token_holds.c.state == TokenHoldState.OPEN.value
        found = _HOLDS.where(is_open, token_holds.c.expires_at <= now).limit(limit)
        return _HOLD.read_all(self.connection.execute(found))
