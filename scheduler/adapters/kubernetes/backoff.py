"""How long to wait before trying again: exponential, capped, with full jitter from a source that is given."""

from collections.abc import Callable
from dataclasses import dataclass

Jitter = Callable[[], float]
"""A number in [0, 1), as `random.random` gives."""


@dataclass(slots=True)
class Backoff:
    """Waits grow from `first_seconds` to `cap_seconds`; a success starts them over.

    Half of each wait is fixed and half is jitter, so that many clients neither come together nor at once.
    """

    jitter: Jitter
    first_seconds: float = 0.2
    cap_seconds: float = 30.0
    failures: int = 0

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self, asked_seconds: float | None = None) -> float:
        """How many seconds to wait now; at least what the server asked for."""
        wait_seconds = min(self.cap_seconds, self.first_seconds * float(2 ** min(self.failures, 16)))
        self.failures += 1
        return max(asked_seconds or 0.0, wait_seconds * (0.5 + 0.5 * self.jitter()))
