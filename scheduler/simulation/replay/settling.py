"""Settling: what an attempt holds is reserved as it goes, and posted, charged and released at its end.

The ledger's pure functions make every transaction. Charges are cut at the ends of days, and where money pays at changes
of its price, as the service cuts them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from scheduler.domain.funding import FundingShare
from scheduler.domain.quantities import is_money
from scheduler.domain.reasons import Reason
from scheduler.domain.sizes import gpu_ms_within
from scheduler.domain.terms import Draw
from scheduler.domain.units import STANDARD_GPU, AllowanceId, HoldId, Instant
from scheduler.domain.values import value
from scheduler.domain.workloads import Attempt
from scheduler.ledger.charging import charge
from scheduler.ledger.holding import hold, release
from scheduler.ledger.holds import TIME_MAX, Hold
from scheduler.ledger.refunds import lost_gpu_ms, refund
from scheduler.simulation.replay.books import ReplayBooks
from scheduler.simulation.replay.calendar import Calendar


@dataclass(slots=True)
class Slice:
    """What is set aside on one allowance and not posted yet, in its unit; `order` is its place in the funding order,
    `worth` what it lasts for in standard time."""

    allowance_id: AllowanceId
    order: int
    amount: int
    opened_at: Instant
    worth: int
    draw: Draw | None


@dataclass(slots=True)
class Held:
    """What is set aside for an attempt, in the order in which charges use it up. `rate` is its weight × class factor;
    `covered` the sum of what it lasts for, in standard time."""

    rate: int
    slices: list[Slice] = field(default_factory=list)
    covered: int = 0

    def reserve(self, books: ReplayBooks, shares: Sequence[FundingShare], at: Instant) -> None:
        """Set the shares aside. What one allowance alone goes on paying in standard time becomes one hold; in other units
        each keeps what it leaves below one unit to itself."""
        for order, share in enumerate(shares):
            books.reserve(share.allowance_id, share.amount)
            worth = self._worth(share.amount, share.draw)
            self.covered += worth
            last = self.slices[-1] if self.slices else None
            is_alone = last is not None and len(shares) == 1 and share.draw is None and last.draw is None
            if is_alone and last is not None and last.allowance_id == share.allowance_id:
                last.amount += share.amount
                last.worth += worth
            else:
                self.slices.append(Slice(share.allowance_id, order, share.amount, at, worth, share.draw))

    def _worth(self, amount: int, draw: Draw | None) -> int:
        return amount if draw is None else draw.lasts(amount, TIME_MAX) * self.rate // 1_000_000

    def give_back(self, books: ReplayBooks) -> list[AllowanceId]:
        """Nothing of it was used: none of it is posted. Returns the allowances that have it again."""
        for item in self.slices:
            books.reserve(item.allowance_id, -item.amount)
        given = [item.allowance_id for item in self.slices]
        self.slices, self.covered = [], 0
        return given

    def shrink(self, books: ReplayBooks, used: int, gpus: int, before: int) -> list[AllowanceId]:
        """Of what is not used yet, keep what lasts as long for so many GPUs as it did for those `before`. What would be
        charged last is given back first. Returns the allowances that have it again."""
        unused = max(0, self.covered - used)
        to_release = unused - -(-unused * gpus // before)
        given: list[AllowanceId] = []
        for item in reversed(self.slices):
            worth = min(item.worth, to_release)
            if worth:
                kept = -(-item.amount * (item.worth - worth) // item.worth)
                books.reserve(item.allowance_id, kept - item.amount)
                item.amount = kept
                item.worth -= worth
                self.covered -= worth
                to_release -= worth
                given.append(item.allowance_id)
        self.slices = [item for item in self.slices if item.amount]
        return given


@value(frozen=True, slots=True)
class Settled:
    """What an attempt came to: standard GPU-milliseconds, and of its physical ones those that ran unfunded."""

    charged: int
    overrun: int
    unfunded: int
    refunded: int
    unfunded_gpu_ms: int
    allowances: tuple[AllowanceId, ...]


def settle(
    books: ReplayBooks, calendar: Calendar, attempt: Attempt, held: Held, ended_at: Instant, refund_cap_ms: int
) -> Settled:
    """Post an attempt's holds, its charges up to `ended_at`, the release of the rest, and a refund where it was
    preempted. `attempt.checkpointed_at` says what of its work is kept."""
    holds = [
        Hold(
            HoldId(f"{attempt.id}/h{number}"),
            attempt.workload_id,
            item.allowance_id,
            item.order,
            item.amount,
            item.opened_at,
            attempt.id,
            draw=item.draw,
        )
        for number, item in enumerate(held.slices)
    ]
    for each, transaction in zip(holds, hold(holds), strict=True):
        books.post_reserved(transaction, each.allowance_id, each.amount)
    overrun = unfunded = unfunded_gpu_ms = 0
    charged = attempt.charged
    pays_money = any(each.draw is not None and is_money(each.draw.unit) for each in holds)
    for until in calendar.cuts(attempt, ended_at, is_money=pays_money):
        gpu_ms, at = _gpu_ms(attempt, until), Instant(until - 1)
        made = charge(attempt, holds, gpu_ms, at, calendar.price_at(attempt, at) if pays_money else None)
        if not made.transactions:
            continue
        books.post(*made.transactions)
        overrun += made.overrun
        unfunded += made.unfunded
        if made.unfunded:
            unfunded_gpu_ms += (gpu_ms - attempt.charged_gpu_ms) * made.unfunded // (made.total - attempt.charged)
        holds = [
            each.after(made.from_holds[each.id], made.draws.get(each.id, each.draw))
            if each.id in made.from_holds
            else each
            for each in holds
        ]
        charged = made.total
        if until < ended_at or attempt.stop_reason is Reason.PREEMPTED:  # charged or refunded once more
            attempt = replace(attempt, charged_gpu_ms=made.gpu_ms, charged=made.total)
    books.post(*release(holds, ended_at))
    refunded = _refund(books, attempt, holds, ended_at, refund_cap_ms)
    return Settled(
        charged, overrun, unfunded, refunded, unfunded_gpu_ms, tuple([each.allowance_id for each in holds])
    )


def _gpu_ms(attempt: Attempt, until: Instant) -> int:
    return 0 if attempt.started_at is None else gpu_ms_within(attempt, attempt.started_at, until)


def _refund(
    books: ReplayBooks, attempt: Attempt, holds: Sequence[Hold], ended_at: Instant, refund_cap_ms: int
) -> int:
    if attempt.stop_reason is not Reason.PREEMPTED or not attempt.is_funded:
        return 0
    lost = lost_gpu_ms(attempt, refund_cap_ms, ended_at)
    made = refund(attempt, holds, lost, ended_at, memo=f"work lost: {Reason.PREEMPTED.value}") if lost else []
    books.post(*made)
    # In standard time: what was given back in other units stands on the books.
    return sum(e.amount for each in made for e in each.entries if e.amount > 0 and e.unit == STANDARD_GPU)
