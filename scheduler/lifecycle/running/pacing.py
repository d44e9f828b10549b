"""How many words a second go to the cluster: telling must not take from launching what both wait for."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

WORDS_A_SECOND: Final = 20
"""Telling all of a long queue as fast as it goes would cost the API server more than launching it."""
WORDS_A_SECOND_WHEN_BUSY: Final = 2
"""A word is two writes, on the Job and as an Event: at the full pace they would be a sixth of all writes."""
BUSY_CALLS: Final = 32
"""More calls than so many within a second, or half of that under way, and launches are what the API server is for."""
_BUSY_SECONDS: Final = 1.0


@dataclass
class Pace:
    """Counts the calls of the last second. `moment` is monotonic, in seconds."""

    _sent: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, moment: float, calls: int) -> None:
        if calls:
            self._sent.append((moment, calls))

    def words_a_second(self, moment: float, under_way: int) -> int:
        while self._sent and moment - self._sent[0][0] > _BUSY_SECONDS:
            self._sent.popleft()
        is_busy = 2 * under_way > BUSY_CALLS or sum(calls for _, calls in self._sent) > BUSY_CALLS
        return WORDS_A_SECOND_WHEN_BUSY if is_busy else WORDS_A_SECOND
