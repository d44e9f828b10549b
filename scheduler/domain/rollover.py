"""Rollover: what of an allowance's rest goes on into the next period, by the rule that was stated when it was granted."""

from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.units import PerMille


class RolloverRule(StrEnum):
    NONE = "none"
    CAPPED = "capped"
    """The rest, up to a cap."""
    DECAYING = "decaying"
    """A stated share of the rest, period by period, and up to a cap where there is one."""


@dataclass(frozen=True, slots=True)
class Rollover:
    """`cap` in the allowance's unit (None: none); `keep` the share that a decaying rest keeps each period."""

    rule: RolloverRule = RolloverRule.NONE
    cap: int | None = None
    keep: PerMille = PerMille(1000)

    def carried(self, left: int) -> int:
        """What goes on of `left`, rounded down; the remainder expires."""
        match self.rule:
            case RolloverRule.NONE:
                return 0
            case RolloverRule.CAPPED:
                kept = left
            case RolloverRule.DECAYING:
                kept = left * self.keep // 1000
        return max(0, kept if self.cap is None else min(kept, self.cap))
