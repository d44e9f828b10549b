"""Group commit: what several threads ask for at the same time is done in one transaction.

Whoever comes first leads. While the leader waits for its turn to write, others queue behind it; with the turn it does
the work of them all, commits once, and wakes them. So a burst costs one commit instead of one each, and nobody waits
for more than the transaction before theirs and their own.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from scheduler.domain.errors import Refusal
from scheduler.domain.units import Instant
from scheduler.lifecycle.writing.batch import Batch

T = TypeVar("T")
B = TypeVar("B", bound=Batch)

AT_ONCE = 100
"""More than this in one transaction would keep the cycle waiting for longer than a commit saves."""


@dataclass(eq=False)
class _Ticket(Generic[T, B]):
    """One piece of work, and what came of it. `leads` is set where its thread is to lead the next transaction."""

    work: Callable[[B], T]
    now: Instant
    turn: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    result: list[T] = field(default_factory=list)
    error: BaseException | None = None

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        (result,) = self.result
        return result


class Together(Generic[T, B]):
    """`run` may be called from any thread that is in no transaction; `open_batch` opens the one a group shares."""

    def __init__(self, open_batch: Callable[[Instant], AbstractContextManager[B]]) -> None:
        self._open = open_batch
        self._mutex = threading.Lock()
        self._waiting: list[_Ticket[T, B]] = []
        self._is_led = False
        self._nobody = threading.Event()
        self._nobody.set()

    def run(self, work: Callable[[B], T], now: Instant) -> T:
        """Do `work` in a transaction, alone or with others', and return what it returned once that is committed.

        Work that raises a Refusal must do so before it changes the batch: then it alone is refused. Any other error,
        and one at the commit, rolls back the whole group, and each of it is told.
        """
        ticket = _Ticket(work, now)
        with self._mutex:
            self._waiting.append(ticket)
            ticket.leads = not self._is_led
            self._is_led = True
            self._nobody.clear()
        if not ticket.leads:
            ticket.turn.wait()
        if ticket.leads:
            self._lead(now)
        return ticket.outcome()

    def give_way(self, seconds: float) -> None:
        """Let those go first who are under way now, for so long at most. For work that nobody waits for."""
        self._nobody.wait(seconds)

    def _lead(self, now: Instant) -> None:
        group: list[_Ticket[T, B]] = []
        try:
            with self._open(now) as batch:
                group = self._take()
                for ticket in group:
                    _do(ticket, batch)
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody of the group may wait for ever
            group = group or self._take()
            for ticket in group:
                ticket.error = ticket.error or error
        finally:
            self._hand_over(group)

    def _take(self) -> list[_Ticket[T, B]]:
        """Those who wait by now; the leader's own ticket is the first."""
        with self._mutex:
            group, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        return group

    def _hand_over(self, group: list[_Ticket[T, B]]) -> None:
        """Wake the group, and let the first of those who came meanwhile lead the next."""
        with self._mutex:
            self._is_led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].turn.set()
            else:
                self._nobody.set()
        for ticket in group:
            ticket.leads = False
            ticket.turn.set()


def _do(ticket: _Ticket[T, B], batch: B) -> None:
    try:
        ticket.result = [ticket.work(batch)]
    except Refusal as refusal:
        ticket.error = refusal
