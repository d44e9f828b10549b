"""Words for Jobs beside their verdicts: told as Events, once, and never written over a Job's status."""

import threading
from collections import deque
from collections.abc import Iterable

from scheduler.domain.actions import TellJob

WAITING_MAX = 1_000
"""Words that wait for a busy cluster; then the oldest go, whose matter the books have all the same."""


class Words:
    """Written by whoever has something to say, read by the cycle."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[TellJob] = deque(maxlen=WAITING_MAX)

    def add(self, words: Iterable[TellJob]) -> None:
        with self._lock:
            self._waiting.extend(words)

    def take(self, at_most: int) -> list[TellJob]:
        """The oldest, which are no longer kept here."""
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]
