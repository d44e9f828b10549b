"""The ledger machine's model of one attempt: who pays how much for which of its milliseconds, in exact fractions."""

from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import strategies as st

from scheduler.domain.units import MS_PER_HOUR, STANDARD_GPU
from tests.adapters.sql.awarding import EUR, H100

RATES = {EUR: MS_PER_HOUR, H100: 1_000, STANDARD_GPU: 1_000_000}
"""Of each unit that a hold may be charged in at a rate of its own: the GPU-milliseconds that a rate is for."""
Rated = tuple[int, int | None]
Rate = st.sampled_from([None, 1, 333, 1_500, 400_000, 7_000_000])
Use = st.tuples(st.integers(0, 8_000), Rate)


@dataclass
class HoldModel:
    """`rate` None: standard time at the attempt's own weight; else units for each GPU-millisecond."""

    allowance: str
    amount: int
    unit: str = STANDARD_GPU
    rate: Fraction | None = None
    charged: int = 0
    time: int = 0

    @property
    def left(self) -> int:
        return self.amount - self.charged


@dataclass
class AttemptModel:
    """`holds` in funding order. `exact` is what each kind of payer has cost so far, before it is floored."""

    weight: int
    used: int = 0
    overrun: int = 0
    own_time: int = 0
    own_charged: int = 0
    holds: list[HoldModel] = field(default_factory=list)
    exact: dict[str, Fraction] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        return all(held.rate is None for held in self.holds)

    @property
    def own_rate(self) -> Fraction:
        return Fraction(self.weight, 1000)

    def charge(self, total: int, price: Fraction | None) -> list[tuple[HoldModel | None, int]]:
        """Who pays how much of what was used since the last charge; None is the overrun."""
        left, self.used = total - self.used, total
        return self._charge_plain(left) if self.is_plain else self._charge_in_units(left, price)

    def _charge_plain(self, left: int) -> list[tuple[HoldModel | None, int]]:
        due = self._own(left)
        paid: list[tuple[HoldModel | None, int]] = []
        for held in self.holds:
            part = min(due, held.left)
            held.charged += part
            due -= part
            paid.append((held, part))
        self.overrun += due
        return [*paid, (None, due)]

    def _charge_in_units(self, left: int, price: Fraction | None) -> list[tuple[HoldModel | None, int]]:
        paid: list[tuple[HoldModel | None, int]] = []
        for held in self.holds:
            is_money = held.unit == "EUR-micro" and price is not None
            rate = self.own_rate if held.rate is None else price if is_money and price is not None else held.rate
            known = self.own_time * self.own_rate if held.rate is None else self.exact.get(held.unit, Fraction())
            costs = range(left + 1)
            time = bisect_right(costs, held.left, key=lambda t, k=known, r=rate: int(k + t * r) - int(k)) - 1  # type: ignore[misc]
            if time <= 0:
                continue
            part = self._own(time) if held.rate is None else int(known + time * rate) - int(known)
            if held.rate is not None:
                self.exact[held.unit] = known + time * rate
                held.time += time
            held.charged += part
            left -= time
            paid.append((held, part))
        beyond = self._own(left)
        self.overrun += beyond
        return [*paid, (None, beyond)]

    def _own(self, time: int) -> int:
        """So much more at the attempt's own weight: what that costs."""
        self.own_time += time
        due = int(self.own_time * self.own_rate) - self.own_charged
        self.own_charged += due
        return due

    def refund(self, lost: int) -> list[tuple[HoldModel | None, int]]:
        """What each gets back for the last `lost` milliseconds, the last to pay first."""
        lost = min(lost, self.used)
        payers: list[tuple[HoldModel | None, int]] = [(None, self.overrun)] if self.overrun else []
        payers += [(held, held.charged) for held in reversed(self.holds)]
        if self.is_plain:
            due = self.own_charged - int((self.used - lost) * self.own_rate)
            back = []
            for held, paid in payers:
                back.append((held, min(due, paid)))
                due -= back[-1][1]
            assert due == 0
            return back
        back, given, placed = [], 0, 0
        for held, paid in payers:
            if held is not None and held.rate is not None:
                time = held.time
            elif self.own_charged:
                given += paid
                time, placed = (
                    self.own_time * given // self.own_charged - placed,
                    self.own_time * given // self.own_charged,
                )
            else:
                time = 0
            taken = min(time, lost)
            lost -= taken
            back.append((held, paid - paid * (time - taken) // time if time else 0))
        return back
