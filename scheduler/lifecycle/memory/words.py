"""Words for Jobs that are no verdict of waiting work: told once, as Events, or as what a Job that ended is left with."""

import threading
from collections import deque
from collections.abc import Iterable

from scheduler.domain.actions import TellJob

WAITING_MAX = 1_000
"""Words that wait for a busy cluster; then the oldest go, whose matter the books have all the same."""
ENDINGS_MAX = 10_000
"""Ends that are still to be written on their Jobs: a burst of ends is told after all else, at the pace of words."""


class Words:
    """Written by whoever has something to say, read by the cycle."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[TellJob] = deque(maxlen=WAITING_MAX)
        self._endings: deque[TellJob] = deque(maxlen=ENDINGS_MAX)

    def add(self, words: Iterable[TellJob]) -> None:
        with self._lock:
            self._waiting.extend(words)

    def take(self, at_most: int) -> list[TellJob]:
        """The oldest, which are no longer kept here."""
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]

    def add_ending(self, word: TellJob) -> None:
        with self._lock:
            self._endings.append(word)

    def take_endings(self, at_most: int) -> list[TellJob]:
        """Nobody waits for these."""
        with self._lock:
            return [self._endings.popleft() for _ in range(min(at_most, len(self._endings)))]
