"""Closing a period: provisional, then closed. After that nothing is dated inside it any more."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from scheduler.domain.units import Instant


class ClosingState(StrEnum):
    PROVISIONAL = "provisional"
    """Everything that ran in it is charged; its differences are looked into."""
    CLOSED = "closed"
    """The journal refuses postings dated inside; corrections go to the open period, marked."""


@dataclass(frozen=True, slots=True)
class Closing:
    """One step, as somebody took it. `sums` is JSON: what the books said of the period in that moment."""

    period: str
    starts_at: Instant
    ends_at: Instant
    state: ClosingState
    at: Instant
    by: str
    role: str
    request_id: str = ""
    sums: str = "{}"
    seq: int = 0

    def contains(self, instant: Instant) -> bool:
        return self.starts_at <= instant < self.ends_at


def standing(steps: Iterable[Closing]) -> dict[str, Closing]:
    """The last step of every period that was ever begun to be closed, by its name."""
    return {step.period: step for step in steps}
