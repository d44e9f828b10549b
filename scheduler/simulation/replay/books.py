"""The books of a replay, in memory: balances that the ledger's own transactions make. Nothing here is anybody's money.

What attempts hold is set aside at once (`reserve`) and posted later, when they are settled: the slices of a rolling
hold that one allowance pays in a row as one. tests/simulation/replay/test_settling.py shows as a property that this
comes to the same as posting and charging each slice as it begins.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from scheduler.domain.allowances import Allowance, AllowanceBalance, Holder, holders_for
from scheduler.domain.periods import Period
from scheduler.domain.units import STANDARD_GPU, AllowanceId, EngineerId, Instant, ProjectName, TeamName, Unit
from scheduler.ledger.grants import expire, grant
from scheduler.ledger.journal import AccountKind, Transaction
from scheduler.ledger.rolling_over import Rest, carry_on, rests_together

_ALLOWANCE, _HELD, _CHARGED = AccountKind.ALLOWANCE, AccountKind.HELD, AccountKind.CHARGED
"""Every line of every transaction asks for these: an enum's member is looked up by way of its class each time."""


@dataclass(slots=True)
class Balance:
    """One allowance: what its accounts come to, and what is reserved on it but not posted yet."""

    allowance: Allowance
    purse: "Purse"
    available: int = 0
    held: int = 0
    reserved: int = 0
    expiries: int = 0
    _value: AllowanceBalance | None = None

    def as_value(self) -> AllowanceBalance:
        """Made anew only where it is another: a submission and a renewal look at all that may pay."""
        available, held = self.available - self.reserved, self.held + self.reserved
        known = self._value
        if known is None or known.available != available or known.held != held:
            known = self._value = AllowanceBalance(self.allowance, available, held)
        return known


@dataclass(eq=False, slots=True)
class Purse:
    """Of one holder: the allowances that are open, how many wait whom these may pay, and those of which nobody was told
    a change."""

    balances: dict[AllowanceId, Balance] = field(default_factory=dict)
    waiting: int = 0
    stale: dict[AllowanceId, None] = field(default_factory=dict)


class ReplayBooks:
    """Accounts by kind and owner, and allowances by holder."""

    def __init__(self) -> None:
        self.totals_in: dict[Unit, dict[AccountKind, int]] = {}
        """Σ of all accounts of a kind, by unit; contra accounts are negative, as in the journal."""
        self.totals = self._totals_of(STANDARD_GPU)
        """Those in standard time."""
        self.charged: dict[str, int] = {}
        """By who paid: an allowance's id, `overrun/<engineer>`, `unfunded/<engineer>`."""
        self.charged_gpu_ms: dict[str, int] = {}
        self.transactions = 0
        self.changed: dict[AllowanceId, None] = {}
        """Balances that changed since somebody last looked."""
        self._balances: dict[AllowanceId, Balance] = {}
        self._purses: dict[Holder, Purse] = {}
        self._purses_for: dict[tuple[EngineerId, TeamName, ProjectName | None], tuple[Purse, ...]] = {}
        self._expired: set[AllowanceId] = set()

    def balance(self, allowance_id: AllowanceId) -> Balance:
        return self._balances[allowance_id]

    def purse(self, holder: Holder) -> Purse:
        known = self._purses.get(holder)
        if known is None:
            known = self._purses[holder] = Purse()
        return known

    def purses_for(self, owner: EngineerId, team: TeamName, project: ProjectName | None) -> tuple[Purse, ...]:
        """Those that may pay for such work, the most specific first."""
        known = self._purses_for.get((owner, team, project))
        if known is None:
            known = tuple(self.purse(holder) for holder in holders_for(owner, team, project))
            self._purses_for[owner, team, project] = known
        return known

    def of(self, purses: Iterable[Purse]) -> list[AllowanceBalance]:
        """The open balances in these."""
        return [balance.as_value() for purse in purses for balance in purse.balances.values()]

    def open(self, allowance: Allowance, actor: str) -> None:
        """An award, with its grant posted."""
        self._add(allowance)
        self.post(grant(allowance, actor=actor))

    def _add(self, allowance: Allowance) -> None:
        purse = self.purse(allowance.holder)
        self._balances[allowance.id] = purse.balances[allowance.id] = Balance(allowance, purse)

    def reserve(self, allowance_id: AllowanceId, amount: int) -> None:
        """Set aside what will be posted as a hold."""
        self._balances[allowance_id].reserved += amount
        self.changed[allowance_id] = None

    def post_reserved(self, transaction: Transaction, allowance_id: AllowanceId, amount: int) -> None:
        """The hold for what was reserved."""
        self._balances[allowance_id].reserved -= amount
        self.post(transaction)

    def post(self, *transactions: Transaction) -> None:
        for transaction in transactions:
            self.transactions += 1
            totals = self._totals_of(transaction.entries[0].unit)  # a transaction is of one unit
            for (kind, owner), amount, _, gpu_ms in transaction.entries:
                totals[kind] += amount
                if kind is _ALLOWANCE:
                    allowance_id = AllowanceId(owner)
                    self._balances[allowance_id].available += amount
                    self.changed[allowance_id] = None
                elif kind is _HELD:
                    self._balances[AllowanceId(owner)].held += amount
                elif kind is _CHARGED:
                    self.charged[owner] = self.charged.get(owner, 0) + amount
                    self.charged_gpu_ms[owner] = self.charged_gpu_ms.get(owner, 0) + gpu_ms

    def _totals_of(self, unit: Unit) -> dict[AccountKind, int]:
        known = self.totals_in.get(unit)
        if known is None:
            known = self.totals_in[unit] = dict.fromkeys(AccountKind, 0)
        return known

    def expire_due(self, now: Instant, following: Period) -> list[AllowanceId]:
        """Have what is left of allowances that have expired go on into the period that follows, by their rollover rules,
        and take the rest; what is still held stays, and expires when it comes back. Returns those that are done with."""
        due = [
            allowance_id
            for allowance_id, balance in self._balances.items()
            if balance.allowance.expires_at is not None and balance.allowance.expires_at <= now
        ]
        fresh = [allowance_id for allowance_id in due if allowance_id not in self._expired]
        self._expired.update(fresh)
        self._roll_over(fresh, following)
        return self.expire_again(fresh, now)

    def _roll_over(self, ended: Iterable[AllowanceId], following: Period) -> None:
        rests: list[Rest] = []
        for balance in (self._balances[allowance_id] for allowance_id in ended):
            expires_at = balance.allowance.expires_at
            if expires_at is not None:
                rests.append(Rest(balance.allowance, expires_at, balance.available - balance.reserved))
        for together in rests_together(rests):
            going_on = carry_on(together, following)
            if going_on is not None:
                self._add(going_on.target)
                self.post(*going_on.transactions)

    def expire_again(self, allowance_ids: Iterable[AllowanceId], now: Instant) -> list[AllowanceId]:
        """What came back to allowances that have expired expires as well. Returns those that are done with."""
        done: list[AllowanceId] = []
        for allowance_id in allowance_ids:
            if allowance_id not in self._expired:
                continue
            balance = self._balances[allowance_id]
            self._expire(balance, now)
            if balance.held + balance.reserved == 0:
                # It stays on the books: a refund may yet come to it.
                balance.purse.balances.pop(allowance_id, None)
                done.append(allowance_id)
        return done

    def _expire(self, balance: Balance, now: Instant) -> None:
        left = balance.available - balance.reserved
        expires_at = balance.allowance.expires_at
        if left > 0 and expires_at is not None:
            # What was left at the expiry belongs to the period that it ends; what came back later does not.
            at = Instant(expires_at - 1) if balance.expiries == 0 else now
            balance.expiries += 1
            self.post(expire(balance.allowance, left, at, taken_at=now))
