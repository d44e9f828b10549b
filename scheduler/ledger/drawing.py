"""Drawing: how much physical time each hold of an attempt pays for where they are of several units, and what it costs.

Of an attempt and a unit the exact total is floored once, as in standard time: what a charge leaves below one unit is
carried to the next (`Draw.rest`), whatever the price was. Standard holds without a draw, and what no hold covers, share
the attempt's own total of the physical time that no draw paid for.
"""

from collections.abc import Sequence

from scheduler.domain.quantities import is_money
from scheduler.domain.terms import Draw
from scheduler.domain.units import HoldId, Unit
from scheduler.domain.workloads import Attempt
from scheduler.ledger.holds import TIME_MAX, Hold

_STANDARD_PER = 1_000_000


class Meter:
    """What is to be charged of one attempt at one price. `draws` are those that it changed."""

    def __init__(self, attempt: Attempt, holds: Sequence[Hold], price: int | None) -> None:
        self.draws: dict[HoldId, Draw] = {}
        self._price = price
        self._rate = attempt.weight * attempt.class_factor
        self._rests: dict[Unit, int] = {}
        for hold in holds:
            if hold.draw is not None:
                self._rests[hold.draw.unit] = self._rests.get(hold.draw.unit, 0) + hold.draw.rest
        self._own_rest = own_gpu_ms(attempt, holds) * self._rate % _STANDARD_PER

    def take(self, hold: Hold, gpu_ms_max: int) -> tuple[int, int]:
        """The physical time that what is left of the hold pays for, and what that costs in its unit."""
        if hold.draw is None:
            time, amount, self._own_rest = _taken(
                self._rate, _STANDARD_PER, self._own_rest, hold.remaining, gpu_ms_max
            )
            return time, amount
        draw = hold.draw
        rate = self._price if self._price is not None and is_money(draw.unit) else draw.rate
        before = self._rests[draw.unit]
        time, amount, rest = _taken(rate, draw.per, before, hold.remaining, gpu_ms_max)
        if time > 0:
            self._rests[draw.unit] = rest
            self.draws[hold.id] = draw.plus(time, rest - before)
        return time, amount

    def take_beyond(self, gpu_ms: int) -> int:
        """What physical time costs in standard time that no hold covers."""
        _, amount, self._own_rest = _taken(self._rate, _STANDARD_PER, self._own_rest, TIME_MAX, gpu_ms)
        return amount


def own_gpu_ms(attempt: Attempt, holds: Sequence[Hold]) -> int:
    """The physical time of an attempt that stands beside standard time at its own terms."""
    return attempt.charged_gpu_ms - sum(hold.draw.gpu_ms for hold in holds if hold.draw is not None)


def _taken(rate: int, per: int, rest: int, amount_max: int, gpu_ms_max: int) -> tuple[int, int, int]:
    """(physical time, amount, rest after it): the longest time within the bound that costs at most `amount_max`."""
    longest = gpu_ms_max if rate == 0 else ((amount_max + 1) * per - 1 - rest) // rate
    time = max(0, min(gpu_ms_max, longest))
    amount, rest = divmod(rest + time * rate, per)
    return time, amount, rest
