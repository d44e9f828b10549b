"""A lock that serves in the order of asking: under a stream of writers nobody waits longer than those before."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, get_ident

from scheduler.domain.errors import RefusalCode, Unavailable


class FairLock:
    """First come, first served; not re-entrant."""

    def __init__(self) -> None:
        self._mutex = Lock()
        self._waiting: deque[Lock] = deque()
        self._owner: int | None = None

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    @contextmanager
    def held(self, timeout_seconds: float) -> Iterator[None]:
        """Raises Unavailable (`database-locked`) where the turn does not come in time."""
        self._acquire(timeout_seconds)
        try:
            yield
        finally:
            self._release()

    def _acquire(self, timeout_seconds: float) -> None:
        turn = Lock()
        with self._mutex:
            if self._owner is None:
                self._owner = get_ident()
                return
            if self._owner == get_ident():
                raise RuntimeError("a write transaction inside another of the same thread would wait for itself")
            turn.acquire()
            self._waiting.append(turn)
        try:
            has_turn = turn.acquire(timeout=timeout_seconds) or not self._leave(turn)
        except BaseException:  # an interrupt: the turn must not be lost with this thread
            if not self._leave(turn):
                self._release()
            raise
        if not has_turn:
            raise Unavailable(
                f"no turn to write within {timeout_seconds:g} s",
                code=RefusalCode.DATABASE_LOCKED,
                remedy="try again; if it goes on, look for a long transaction in the log",
            )
        self._owner = get_ident()

    def _leave(self, turn: Lock) -> bool:
        """Stop waiting. False where the turn came in that moment."""
        with self._mutex:
            if turn not in self._waiting:
                return False
            self._waiting.remove(turn)
            return True

    def _release(self) -> None:
        with self._mutex:
            if self._waiting:
                self._owner = -1  # taken, by whoever wakes up
                self._waiting.popleft().release()
            else:
                self._owner = None
