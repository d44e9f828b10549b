"""The allowances as one decision sees them: who may pay, what is left after this cycle's bookings, and whose pace."""

from collections.abc import Iterable, Mapping, Sequence

from scheduler.domain.allowances import AllowanceBalance, Holder, HolderKind, holder_of
from scheduler.domain.funding import FundingShare, Shortfall, fund
from scheduler.domain.pace import band_until, pace_per_mille, plan_of
from scheduler.domain.periods import Period
from scheduler.domain.policy import PriorityClass
from scheduler.domain.terms import Need, Terms
from scheduler.domain.units import AllowanceId, EngineerId, Instant
from scheduler.domain.workloads import HoldMode, WorkloadSpec

NO_BALANCES: Mapping[AllowanceId, AllowanceBalance] = {}


class Hours:
    """Balances by holder. What a cycle books is kept apart (`book`) until `forget`: the journal knows nothing of it."""

    def __init__(self) -> None:
        self.balances: dict[AllowanceId, AllowanceBalance] = {}
        self._by_holder: dict[Holder, dict[AllowanceId, AllowanceBalance]] = {}
        self._booked: dict[AllowanceId, int] = {}
        self._left: dict[AllowanceId, AllowanceBalance] = {}
        """Balances after bookings, as far as they were asked for since."""

    def set(self, allowance_id: AllowanceId, balance: AllowanceBalance | None) -> set[Holder]:
        """Take a balance, or its end. Returns the holders whose work this concerns."""
        touched: set[Holder] = set()
        old = self.balances.pop(allowance_id, None)
        if old is not None:
            touched.add(old.allowance.holder)
            del self._by_holder[old.allowance.holder][allowance_id]
        if balance is not None:
            touched.add(balance.allowance.holder)
            self.balances[allowance_id] = balance
            self._by_holder.setdefault(balance.allowance.holder, {})[allowance_id] = balance
        return touched

    def of(self, holders: Iterable[Holder]) -> list[AllowanceBalance]:
        known = (self._by_holder.get(holder, NO_BALANCES) for holder in holders)
        return [balance for balances in known for balance in balances.values()]

    def fund(self, ordered: Sequence[AllowanceBalance], need: Need) -> tuple[FundingShare, ...] | Shortfall:
        """Who of those who may pay, in their order, would pay `need` after what this cycle has booked."""
        if self._booked:
            ordered = [self._after_bookings(balance) for balance in ordered]
        return fund(ordered, need)

    def _after_bookings(self, balance: AllowanceBalance) -> AllowanceBalance:
        allowance_id = balance.allowance.id
        booked = self._booked.get(allowance_id)
        if booked is None:
            return balance
        left = self._left.get(allowance_id)
        if left is None:
            left = self._left[allowance_id] = balance.less(booked)
        return left

    def book(self, shares: Iterable[FundingShare]) -> None:
        for share in shares:
            self._booked[share.allowance_id] = self._booked.get(share.allowance_id, 0) + share.amount
            self._left.pop(share.allowance_id, None)

    @property
    def is_any_booked(self) -> bool:
        """Whether this cycle has booked anything at all."""
        return bool(self._booked)

    def is_booked(self, ordered: Iterable[AllowanceBalance]) -> bool:
        """Whether it has on one of them."""
        return any(balance.allowance.id in self._booked for balance in ordered)

    def unbook(self, shares: Iterable[FundingShare]) -> None:
        """Take back what `book` counted."""
        for share in shares:
            self._booked[share.allowance_id] -= share.amount
            self._left.pop(share.allowance_id, None)

    def forget(self) -> None:
        """Drop the bookings of a cycle."""
        self._booked.clear()
        self._left.clear()

    def band(self, owner: EngineerId, period: Period, now: Instant) -> tuple[int, Instant | None]:
        """The owner's pace band, and when it next changes of itself."""
        return band_until(*self._plan(owner, period), period, now)

    def pace(self, owner: EngineerId, period: Period, now: Instant) -> int:
        return pace_per_mille(*self._plan(owner, period), period, now)

    def pace_after_bookings(self, owner: EngineerId, period: Period, now: Instant) -> int:
        """The pace it would be had what this cycle booked been held already."""
        own = self._by_holder.get(holder_of(HolderKind.ENGINEER, owner), NO_BALANCES).values()
        return pace_per_mille(*plan_of(map(self._after_bookings, own), period), period, now)

    def _plan(self, owner: EngineerId, period: Period) -> tuple[int, int]:
        return plan_of(self._by_holder.get(holder_of(HolderKind.ENGINEER, owner), NO_BALANCES).values(), period)


def need_at_launch(spec: WorkloadSpec, priority_class: PriorityClass, terms: Terms) -> Need:
    """What must be held at launch: the whole time limit, or one slice of it, on all GPUs."""
    held_ms = spec.time_limit_ms
    if priority_class.hold is HoldMode.ROLLING:
        held_ms = min(held_ms, priority_class.slice_ms)
    return Need(held_ms * spec.gpus, terms)
