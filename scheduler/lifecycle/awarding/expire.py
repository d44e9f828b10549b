"""Expiry: what is left at the end of an allowance goes on into the next period by its rollover rule, goes on for as long as
its owner waited for capacity where it is pay, or expires."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from scheduler.domain.allowances import Allowance, AllowanceBalance, AllowanceSource
from scheduler.domain.periods import period_at
from scheduler.domain.units import AllowanceId, Instant, Unit
from scheduler.ledger.grants import expire, roll_over, rollover_allowance_id
from scheduler.ledger.journal import Account, AccountKind
from scheduler.lifecycle.awarding.move_expiry import is_moved, move_expiry
from scheduler.lifecycle.writing.batch import Batch


@dataclass(frozen=True, slots=True)
class _Ended:
    """An allowance that is over. `left` is what it had at its end and still has: hours that were held then and came
    back later are not of it. They expire when they are found."""

    balance: AllowanceBalance
    expires_at: Instant
    left: int

    @property
    def allowance(self) -> Allowance:
        return self.balance.allowance


def expire_due(batch: Batch) -> int:
    """Roll over and take what is left of allowances that are over. Held hours stay; what is released later expires in a
    later round. Returns how many expired."""
    ended = _ended(batch)
    carried = _roll_over(batch, ended)
    made = 0
    for item in ended:
        rest = item.balance.available - carried.get(item.allowance.id, 0)
        if rest > 0:
            # What was left at the end belongs to the period that it ends; what came back later does not.
            at = Instant(item.expires_at - 1) if item.left > 0 else batch.now
            if is_moved(item.allowance, is_frozen=item.balance.is_frozen):
                rest -= move_expiry(batch, item.allowance, rest, at)
            if rest > 0:
                batch.post(expire(item.allowance, rest, at, taken_at=batch.now))
                made += 1
    return made


def _ended(batch: Batch) -> list[_Ended]:
    over = [
        (balance, expires_at)
        for balance in list(batch.world.balances.values())
        if (expires_at := balance.allowance.expires_at) is not None
        and expires_at <= batch.now
        and balance.available > 0
    ]
    return [_Ended(balance, at, _left_at_end(batch, balance, at)) for balance, at in over]


def _left_at_end(batch: Batch, balance: AllowanceBalance, expires_at: Instant) -> int:
    """0 once anything of it has expired or gone on: then its end is settled."""
    allowance = balance.allowance
    if batch.books.journal.balance(Account(AccountKind.EXPIRED, allowance.id), allowance.unit) > 0:
        return 0
    account = Account(AccountKind.ALLOWANCE, allowance.id)
    then = batch.books.journal.totals(ends_at=expires_at, accounts=[account], unit=allowance.unit)[account]
    return max(0, min(then, balance.available))


# --- rollover --------------------------------------------------------------------------------------------------------


def _roll_over(batch: Batch, ended: Iterable[_Ended]) -> dict[AllowanceId, int]:
    """What goes on of each. A holder's tier allowance and what had rolled into the same period are one rest, unit by
    unit."""
    rests: dict[tuple[str, str, Unit], list[_Ended]] = {}
    for item in ended:
        allowance = item.allowance
        is_frozen = item.balance.is_frozen
        if allowance.rollover is not None and allowance.period and item.left > 0 and not is_frozen:
            rests.setdefault((allowance.holder.id, allowance.period, allowance.unit), []).append(item)
    carried: dict[AllowanceId, int] = {}
    for _, rest in sorted(rests.items()):
        carried |= _carry(batch, sorted(rest, key=_tier_first))
    return carried


def _carry(batch: Batch, rest: list[_Ended]) -> dict[AllowanceId, int]:
    source = rest[0].allowance
    assert source.rollover is not None, "only those are asked"
    amount = source.rollover.carried(sum(item.left for item in rest))
    policy = batch.world.require_policy()
    following = period_at(rest[0].expires_at, policy.period, policy.time_zone)
    target_id = rollover_allowance_id(source.holder, following.name, source.unit)
    if amount == 0 or batch.books.allowances.get(target_id) is not None:
        return {}
    target = replace(
        source,
        id=target_id,
        source=AllowanceSource.ROLLOVER,
        amount=amount,
        starts_at=rest[0].expires_at,
        expires_at=following.ends_at,
        granted_at=rest[0].expires_at,
        period=following.name,
        overdraft=0,
    )
    batch.add_allowance(target)
    carried: dict[AllowanceId, int] = {}
    for item in rest:
        part = min(item.left, amount)
        if part > 0:
            batch.post(roll_over(item.allowance, target, part, Instant(item.expires_at - 1)))
            carried[item.allowance.id] = part
            amount -= part
    return carried


def _tier_first(item: _Ended) -> tuple[bool, str]:
    return item.allowance.source is not AllowanceSource.TIER, item.allowance.id
