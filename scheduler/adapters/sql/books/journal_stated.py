"""What a statement is made of, and what of a company's period is worth money, entry by entry, in SQL.

What is of the whole company is read from its transactions onwards, so that those that only move hours between available
and held are passed over before their entries are read: half of a journal.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, or_, select

from scheduler.adapters.sql.books.accounts import KINDS, posted_on
from scheduler.adapters.sql.driving import fetch_by_pieces
from scheduler.adapters.sql.querying import among, pieces, spelled
from scheduler.adapters.sql.tables import journal as tables
from scheduler.adapters.sql.tables.workloads import attempts
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.reasons import Reason
from scheduler.domain.units import Instant
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, Terms, TransactionKind, Used
from scheduler.ledger.statement import INTERNAL, STATED

TRANSACTION_KINDS = {kind.value: kind for kind in TransactionKind}
INTERNAL_KINDS = [kind.value for kind in INTERNAL]

_ENTRY, _POSTED, _ACCOUNT = tables.entries.c, tables.transactions.c, tables.accounts.c
BY_TRANSACTION = tables.transactions.join(tables.entries, _ENTRY.transaction_seq == _POSTED.seq).join(
    tables.accounts,
    _ACCOUNT.id == _ENTRY.account_id + 0,  # as a sum, so that SQLite cannot begin with accounts and read every entry
)
_BY_ACCOUNT = tables.entries.join(tables.transactions, _POSTED.seq == _ENTRY.transaction_seq).join(
    tables.accounts, _ACCOUNT.id == _ENTRY.account_id
)

_STATED = select(
    *(_ENTRY.seq, _POSTED.id, _POSTED.kind, _ENTRY.at, _POSTED.recorded_at, _ACCOUNT.kind, _ACCOUNT.owner),
    *(_ACCOUNT.unit, _ENTRY.amount, _ENTRY.gpu_ms, _POSTED.attempt_id, _POSTED.memo, _POSTED.corrects_at),
    *(attempts.c.owner, attempts.c.gpu_class, attempts.c.pool),
    *(attempts.c.placement, attempts.c.pod, attempts.c.leaving, attempts.c.past_sizes),
)


_IS_STATED = _ACCOUNT.kind.in_([kind.value for kind in (*STATED, AccountKind.CORRECTED)])
_CHARGE = TransactionKind.CHARGE.value
WORTH = [_CHARGE, TransactionKind.REFUND.value, TransactionKind.CORRECTION.value]
_PAYERS = (AccountKind.HELD, AccountKind.OVERRUN, AccountKind.UNFUNDED)
IS_USED = and_(_POSTED.kind == _CHARGE, _POSTED.attempt_id.is_not(None), _POSTED.corrects_at.is_(None))

_USED = (
    select(
        *(_ENTRY.seq, _ENTRY.at, _ENTRY.gpu_ms, _ACCOUNT.kind == AccountKind.UNFUNDED.value, _ACCOUNT.unit),
        *(_POSTED.attempt_id, attempts.c.owner, attempts.c.team, attempts.c.gpu_class, attempts.c.pool),
        *(attempts.c.placement, attempts.c.pod, attempts.c.leaving, attempts.c.past_sizes),
    )
    .select_from(BY_TRANSACTION.join(attempts, attempts.c.id == _POSTED.attempt_id))
    .where(
        IS_USED,
        or_(*(_ACCOUNT.kind == kind.value for kind in _PAYERS)),
        _POSTED.at >= bindparam("starts_at"),
        _POSTED.at < bindparam("ends_at"),
    )
)


@lru_cache(4_096)
def _gpus(placement: str, pod: str, leaving: str | None, past_sizes: str) -> int | None:
    """All that the attempt has; None where it was, or is being, resized."""
    if leaving is not None or past_sizes != "[]":
        return None
    return _PLACEMENT.validate_json(placement).pods * _POD.validate_json(pod).gpus


_PLACEMENT = TypeAdapter(Placement)
_POD = TypeAdapter(PodRequest)


@dataclass(frozen=True, slots=True)
class JournalStated:
    connection: Connection

    def stated(
        self,
        *,
        accounts: Sequence[Account] | None,
        starts_at: Instant,
        ends_at: Instant,
        returned_for: Collection[Reason] = (),
    ) -> Iterator[PostedEntry]:
        is_asked: ColumnElement[bool] = _POSTED.kind.not_in(INTERNAL_KINDS)
        if returned_for:
            is_asked = or_(is_asked, came_back_for(returned_for))
        joined = BY_TRANSACTION if accounts is None else _BY_ACCOUNT
        statement = _STATED.select_from(joined.outerjoin(attempts, attempts.c.id == _POSTED.attempt_id))
        if accounts is None:
            is_theirs = and_(_IS_STATED, _POSTED.at >= starts_at, _POSTED.at < ends_at)
        else:
            is_theirs = posted_on(self.connection, accounts, starts_at, ends_at)
        chosen = statement.where(is_asked, is_theirs)
        return _with_terms(self.connection.execute(chosen, execution_options={"yield_per": 5_000}))

    def used(self, *, starts_at: Instant, ends_at: Instant) -> Iterator[Used]:
        text, values = spelled(self.connection, _USED, starts_at=starts_at, ends_at=ends_at)
        for rows in fetch_by_pieces(self.connection, text, values):
            for seq, at, gpu_ms, is_unfunded, unit, attempt, engineer, team, gpu_class, pool, *sizes in rows:
                gpus = _gpus(*sizes)
                yield Used(seq, at, gpu_ms, is_unfunded, unit, attempt, engineer, team, gpu_class, pool, gpus)

    def worth_beside(self, *, starts_at: Instant, ends_at: Instant, left: Sequence[int]) -> Iterator[PostedEntry]:
        company = _STATED.select_from(BY_TRANSACTION.outerjoin(attempts, attempts.c.id == _POSTED.attempt_id))
        chosen = company.where(
            _POSTED.kind.in_(WORTH), ~IS_USED, _POSTED.at >= starts_at, _POSTED.at < ends_at, _IS_STATED
        )
        yield from _with_terms(self.connection.execute(chosen, execution_options={"yield_per": 5_000}))
        named = _STATED.select_from(_BY_ACCOUNT.outerjoin(attempts, attempts.c.id == _POSTED.attempt_id))
        for piece in pieces(left):
            asked = named.where(among(_ENTRY.seq, piece, self.connection.dialect))
            yield from _with_terms(self.connection.execute(asked))


def _with_terms(rows: Iterable[Row[*tuple[Any, ...]]]) -> Iterator[PostedEntry]:
    for row in rows:
        seq, posted, kind, at, recorded_at, account, owner, unit, amount, gpu_ms, attempt, memo, corrects_at, *of = (
            row
        )
        engineer, gpu_class, pool, *sizes = of
        yield PostedEntry(
            *(seq, posted, TRANSACTION_KINDS[kind], at, recorded_at, Account(KINDS[account], owner)),
            *(unit, amount, gpu_ms, attempt, memo, corrects_at),
            None if engineer is None else Terms(engineer, gpu_class, pool, _gpus(*sizes)),
        )


def came_back_for(reasons: Collection[Reason]) -> ColumnElement[bool]:
    """Whether an entry gave back to who paid what an attempt that was stopped for one of these had held."""
    return and_(
        _POSTED.kind == TransactionKind.RELEASE.value,
        _ACCOUNT.kind == AccountKind.ALLOWANCE.value,
        attempts.c.stop_reason.in_([reason.value for reason in reasons]),
    )
