"""The real clock."""

import time

from scheduler.domain.units import Instant


class SystemClock:
    """UTC as the machine has it."""

    @property
    def is_simulated(self) -> bool:
        return False

    def now(self) -> Instant:
        return Instant(time.time_ns() // 1_000_000)

    def seconds_until(self, instant: Instant) -> float:
        return max(0.0, (instant - self.now()) / 1000)
