"""The clock of simulated time: it runs faster than the real one, and never back."""

from collections.abc import Callable

from scheduler.domain.units import MS_PER_SECOND, Instant

FACTOR_MAX = 10_000


class SimulatedClock:
    """Simulated now = `starts_at` + factor × the real time since the clock was made.

    `monotonic` gives real seconds that never go back. Started again with the instant that was kept when it was
    stopped, it goes on from there: time stands still while nobody runs it.
    """

    def __init__(self, starts_at: Instant, factor: int, monotonic: Callable[[], float]) -> None:
        if not 1 <= factor <= FACTOR_MAX:
            raise ValueError(f"the factor of simulated time is {factor}; expected 1 to {FACTOR_MAX}")
        self.factor = factor
        self._starts_at = starts_at
        self._monotonic = monotonic
        self._began = monotonic()

    @property
    def is_simulated(self) -> bool:
        return True

    def now(self) -> Instant:
        elapsed_seconds = self._monotonic() - self._began
        return Instant(self._starts_at + int(elapsed_seconds * self.factor * MS_PER_SECOND))

    def seconds_until(self, instant: Instant) -> float:
        """Real seconds until the simulated instant; 0 where it has passed."""
        return max(0, instant - self.now()) / MS_PER_SECOND / self.factor
