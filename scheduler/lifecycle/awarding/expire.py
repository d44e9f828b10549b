"""Expiry: what is left at the end of an allowance goes on into the next period by its rollover rule, goes on for as long as
its owner waited for capacity where it is pay, or expires."""

from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.domain.allowances import Allowance, AllowanceBalance
from scheduler.domain.periods import period_at
from scheduler.domain.units import AllowanceId, Instant
from scheduler.ledger.grants import expire
from scheduler.ledger.journal import Account, AccountKind
from scheduler.ledger.rolling_over import Rest, carry_on, rests_together
from scheduler.lifecycle.awarding.move_expiry import is_moved, move_expiry
from scheduler.lifecycle.memory.world import World
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


def is_expiry_due(world: World, now: Instant) -> bool:
    """Whether `expire_due` would find anything."""
    return bool(_over(world, now))


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
    over = _over(batch.world, batch.now)
    return [_Ended(balance, at, _left_at_end(batch, balance, at)) for balance, at in over]


def _over(world: World, now: Instant) -> list[tuple[AllowanceBalance, Instant]]:
    """By id, so that a process that was started meanwhile writes the same in the same order."""
    over = [
        (balance, expires_at)
        for balance in list(world.balances.values())
        if (expires_at := balance.allowance.expires_at) is not None and expires_at <= now and balance.available > 0
    ]
    return sorted(over, key=lambda each: each[0].allowance.id)


def _left_at_end(batch: Batch, balance: AllowanceBalance, expires_at: Instant) -> int:
    """0 once anything of it has expired or gone on: then its end is settled."""
    allowance = balance.allowance
    if batch.books.journal.balance(Account(AccountKind.EXPIRED, allowance.id), allowance.unit) > 0:
        return 0
    account = Account(AccountKind.ALLOWANCE, allowance.id)
    then = batch.books.journal.totals(ends_at=expires_at, accounts=[account], unit=allowance.unit)[account]
    return max(0, min(then, balance.available))


# rollover


def _roll_over(batch: Batch, ended: Iterable[_Ended]) -> dict[AllowanceId, int]:
    """What goes on of each. Done twice, it is done once."""
    rests = (Rest(item.allowance, item.expires_at, item.left) for item in ended if not item.balance.is_frozen)
    policy = batch.world.require_policy()
    carried: dict[AllowanceId, int] = {}
    for together in rests_together(rests):
        following = period_at(together[0].expires_at, policy.period, policy.time_zone)
        going_on = carry_on(together, following)
        if going_on is not None and batch.books.allowances.get(going_on.target.id) is None:
            batch.add_allowance(going_on.target)
            batch.post(*going_on.transactions)
            carried |= going_on.parts
    return carried
