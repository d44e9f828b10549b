"""Expiry: what is left at the end of an allowance goes on into the next period by its rollover rule, goes on for as long as
its owner waited for capacity where it is pay, or expires. Each part of it counts as of when it was left, however late that
is found: what was there at the end belongs to the end, what came back later to when it came back."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from scheduler.domain.allowances import Allowance, AllowanceBalance
from scheduler.domain.periods import period_at
from scheduler.domain.units import AllowanceId, Instant
from scheduler.ledger.grants import expire, rollover_allowance_id, tier_allowance_id
from scheduler.ledger.journal import TransactionKind, available_on
from scheduler.ledger.rolling_over import Rest, carry_on, rests_together
from scheduler.lifecycle.awarding.move_expiry import is_moved, move_expiry
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch

_GOING = (TransactionKind.ROLLOVER, TransactionKind.EXPIRY)


@dataclass(frozen=True, slots=True)
class _Ended:
    """An allowance that is over. `left` is what it had at its end and still has, and `later` what came back after that,
    each part with when it did. `times_taken` is how often something of it went since its end."""

    balance: AllowanceBalance
    expires_at: Instant
    left: int
    later: tuple[tuple[Instant, int], ...]
    times_taken: int

    @property
    def allowance(self) -> Allowance:
        return self.balance.allowance

    def parts(self, carried: int) -> Iterator[tuple[Instant, int]]:
        """What is to go, less what is carried, and when each part of it counts."""
        yield Instant(self.expires_at - 1), self.left - carried
        yield from self.later


def next_expiry(world: World, now: Instant) -> Instant | None:
    """The first end by now of which `expire_due` would find anything left."""
    return min((balance.allowance.expires_at or now for balance in _over(world, now)), default=None)


def expire_due(batch: Batch, until: Instant | None = None) -> int:
    """Roll over and take what is left of allowances that are over, or were over by then. Held hours stay; what is released
    later expires in a later round. Returns how many expired."""
    ended = [_ended(batch, balance) for balance in _over(batch.world, batch.now if until is None else until)]
    carried = _roll_over(batch, ended)
    return sum(_take(batch, item, carried.get(item.allowance.id, 0)) for item in ended)


def _take(batch: Batch, item: _Ended, carried: int) -> bool:
    """Returns whether anything of it expired. A number tells it from what was taken before, in the same moment too."""
    made = False
    for number, (at, rest) in enumerate(item.parts(carried), start=item.times_taken):
        moved = 0
        if rest > 0 and is_moved(item.allowance, is_frozen=item.balance.is_frozen):
            moved = move_expiry(batch, item.allowance, rest, at, number)
        if rest > moved:
            batch.post(expire(item.allowance, rest - moved, at, taken_at=batch.now, number=number))
            made = True
    return made


def _over(world: World, until: Instant) -> list[AllowanceBalance]:
    """By id, so that a process that was started meanwhile writes the same in the same order."""
    over = [
        balance
        for balance in list(world.balances.values())
        if (expires_at := balance.allowance.expires_at) is not None and expires_at <= until and balance.available > 0
    ]
    return sorted(over, key=lambda each: each.allowance.id)


def _ended(batch: Batch, balance: AllowanceBalance) -> _Ended:
    """What counted after a period was closed is told apart by when it would have counted."""
    allowance = balance.allowance
    expires_at, account = allowance.expires_at, available_on(allowance.id)
    assert expires_at is not None, "it is over"
    then = batch.books.journal.totals(ends_at=expires_at, accounts=[account], unit=allowance.unit)[account]
    came: dict[Instant, int] = defaultdict(int)
    times_taken = 0
    for entry in batch.books.journal.entries(accounts=[account], starts_at=Instant(expires_at - 1)):
        times_taken += entry.amount < 0
        at = entry.at if entry.corrects_at is None else entry.corrects_at
        if at >= expires_at:
            came[at] += entry.amount
        elif entry.at >= expires_at:
            then += entry.amount
    left = max(0, min(then, balance.available))
    later = tuple(_left_of(came, then - left, balance.available - left))
    return _Ended(balance, expires_at, left, later, times_taken)


def _left_of(came: dict[Instant, int], start: int, left: int) -> Iterator[tuple[Instant, int]]:
    """What is left of what came after the end, each part as of when it was left over: never more than that in all."""
    running = start
    for at in sorted(came):
        running += came[at]
        part = min(running, left)
        if part > 0:
            yield at, part
            running, left = 0, left - part


# rollover


def _roll_over(batch: Batch, ended: Iterable[_Ended]) -> dict[AllowanceId, int]:
    """What goes on of each. Done twice, it is done once."""
    policy = batch.world.require_policy()
    carried: dict[AllowanceId, int] = {}
    for together in rests_together(_rests(batch, ended)):
        following = period_at(together[0].expires_at, policy.period, policy.time_zone)
        going_on = carry_on(together, following)
        if going_on is not None:
            if batch.books.allowances.get(going_on.target.id) is None:
                batch.add_allowance(going_on.target)
            batch.post(*going_on.transactions)
            carried |= going_on.parts
    return carried


def _rests(batch: Batch, ended: Iterable[_Ended]) -> Iterable[Rest]:
    """What is left of each, beside what went of it, and of what is one rest with it, before anybody had heard of this."""
    rolling = [
        item
        for item in ended
        if item.left > 0
        and item.allowance.rollover is not None
        and item.allowance.period
        and not item.balance.is_frozen
    ]
    rests = {item.allowance.id: Rest(item.allowance, item.expires_at, item.left) for item in rolling}
    for item in rolling:
        for allowance_id, (gone, carried) in _gone(batch, item.allowance, item.expires_at).items():
            known = rests.get(allowance_id) or _rest_of_nothing(batch, allowance_id)
            if known is not None:
                rests[allowance_id] = replace(known, gone=gone, carried=carried)
    return rests.values()


def _gone(batch: Batch, allowance: Allowance, expires_at: Instant) -> dict[AllowanceId, tuple[int, int]]:
    """What a holder's allowances of one period had at their end and have no more, and what of that went on."""
    holder, period, unit = allowance.holder, allowance.period, allowance.unit
    alike = (tier_allowance_id(holder.id, period, unit), rollover_allowance_id(holder, period, unit))
    accounts, last = [available_on(each) for each in alike], Instant(expires_at - 1)
    went = batch.books.journal.entries(accounts=accounts, starts_at=last, transactions=_GOING)
    found: dict[AllowanceId, tuple[int, int]] = {}
    for entry in went:
        if entry.amount < 0 and last == (entry.at if entry.corrects_at is None else entry.corrects_at):
            allowance_id = AllowanceId(entry.account.owner)
            gone, carried = found.get(allowance_id, (0, 0))
            is_carried = entry.kind is TransactionKind.ROLLOVER
            found[allowance_id] = (gone - entry.amount, carried - (entry.amount if is_carried else 0))
    return found


def _rest_of_nothing(batch: Batch, allowance_id: AllowanceId) -> Rest | None:
    """Of one that has nothing left; None where what it had was frozen, and went on nowhere."""
    known = batch.books.allowances.get(allowance_id)
    if known is None or known.is_frozen or known.allowance.expires_at is None:
        return None
    return Rest(known.allowance, known.allowance.expires_at, 0)
