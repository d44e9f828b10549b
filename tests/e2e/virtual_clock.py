"""A clock that a test moves by hand."""

from scheduler.domain.units import Instant


class VirtualClock:
    """Stands at an instant until it is moved: Nobody ever waits on it."""

    def __init__(self, starts_at: Instant) -> None:
        self._now = starts_at

    @property
    def is_simulated(self) -> bool:
        return True

    def now(self) -> Instant:
        return self._now

    def move_to(self, instant: Instant) -> None:
        """Time does not go back: an earlier instant leaves it where it is."""
        self._now = max(self._now, instant)

    def seconds_until(self, instant: Instant) -> float:
        return 0.0 if instant <= self._now else float("inf")
