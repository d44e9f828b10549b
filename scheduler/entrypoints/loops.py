"""The loops: the cycle as an event-driven task of our own, the periodic rest by APScheduler.

One that is slow or fails never stops another; each has a deadline and the instant of its last success.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from scheduler.domain.errors import Refusal
from scheduler.domain.units import Instant
from scheduler.ports import Clock

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[object]]
RETRY_AFTER_SECONDS = 1.0
LAST_ROUND_SECONDS = 5.0
"""How long a round that is under way at the end may take."""


@dataclass(frozen=True, slots=True)
class LoopHealth:
    """How a loop does. `last_success_at` is by the service's clock; `is_late` by the real one."""

    name: str
    deadline_seconds: float
    last_success_at: Instant | None = None
    last_error: str = ""
    last_seconds: float = 0.0
    runs: int = 0
    failures: int = 0
    failures_in_a_row: int = 0
    is_late: bool = False


@dataclass(slots=True)
class _Loop:
    """A loop's work, and when, in real monotonic seconds, it last came round."""

    work: Work
    health: LoopHealth
    last_success: float
    began: float | None = None


def first_delay_seconds(number: int, period_seconds: float) -> float:
    """When within its period the loop of this number begins.

    Loops of one period must not all come due at once, to wait for each other's transactions and let everybody else wait
    for them. Multiples of the golden ratio, modulo 1, lie apart however many there are.
    """
    return period_seconds * (number * 0.618 % 1)


class Loops:
    """Runs named work, for ever or every so often."""

    def __init__(self, clock: Clock, *, last_round_seconds: float = LAST_ROUND_SECONDS) -> None:
        self._clock = clock
        self._last_round_seconds = last_round_seconds
        self._loops: dict[str, _Loop] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._rounds: set[asyncio.Task[bool]] = set()
        self._periodic = AsyncIOScheduler(timezone="UTC")

    def every(self, name: str, seconds: float, work: Work, *, deadline_seconds: float) -> None:
        """Run `work` every so many real seconds; a round that is not over when the next is due is not run twice."""
        loop = self._add(name, work, deadline_seconds)
        first = datetime.now(UTC) + timedelta(seconds=first_delay_seconds(len(self._loops), seconds))
        self._periodic.add_job(
            self._periodic_round,
            IntervalTrigger(seconds=seconds, start_date=first),
            args=[loop],
            max_instances=1,
            coalesce=True,
            id=name,
        )

    def for_ever(self, name: str, work: Work, *, deadline_seconds: float) -> None:
        """Run `work` again as soon as it returns."""
        self._add(name, work, deadline_seconds)

    def start(self) -> None:
        now = asyncio.get_running_loop().time()
        periodic = {job.id for job in self._periodic.get_jobs()}
        for name, loop in self._loops.items():
            loop.last_success = now
            if name not in periodic:
                self._tasks.append(asyncio.create_task(self._again_and_again(loop), name=f"loop {name}"))
        self._periodic.start()

    async def stop(self) -> None:
        """Begin no round, and wait for those under way: what they write they write whole. One that hangs is left."""
        if self._periodic.running:
            self._periodic.pause()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._rounds:
            await asyncio.wait(self._rounds, timeout=self._last_round_seconds)
        if self._periodic.running:
            self._periodic.shutdown(wait=False)

    def health(self) -> dict[str, LoopHealth]:
        """By name. A loop is late when it has not succeeded for as long as its deadline."""
        now = asyncio.get_running_loop().time()
        return {
            name: replace(loop.health, is_late=now - loop.last_success > loop.health.deadline_seconds)
            for name, loop in self._loops.items()
        }

    def _add(self, name: str, work: Work, deadline_seconds: float) -> _Loop:
        loop = self._loops[name] = _Loop(work, LoopHealth(name, deadline_seconds), 0.0)
        return loop

    async def _again_and_again(self, loop: _Loop) -> None:
        while True:
            if not await self._round(loop):
                await asyncio.sleep(RETRY_AFTER_SECONDS * min(30, loop.health.failures_in_a_row))

    async def _periodic_round(self, loop: _Loop) -> None:
        """A round in a task of its own: APScheduler cancels what it runs when it is shut down, and logs that."""
        task = asyncio.create_task(self._round(loop), name=f"round of {loop.health.name}")
        self._rounds.add(task)
        task.add_done_callback(self._rounds.discard)
        await asyncio.wait([task])

    async def _round(self, loop: _Loop) -> bool:
        began = asyncio.get_running_loop().time()
        try:
            await loop.work()
        except Refusal as refusal:
            log.warning("%s: %s (%s)", loop.health.name, refusal, refusal.code.value)
            self._note_failure(loop, str(refusal))
            return False
        except Exception as error:  # the outermost guard: the next round comes, and health tells of this one
            log.exception("the loop %s failed", loop.health.name)
            self._note_failure(loop, f"{type(error).__name__}: {error}")
            return False
        ended = asyncio.get_running_loop().time()
        loop.last_success = ended
        loop.health = replace(
            loop.health,
            last_success_at=self._clock.now(),
            last_seconds=ended - began,
            runs=loop.health.runs + 1,
            failures_in_a_row=0,
        )
        return True

    def _note_failure(self, loop: _Loop, error: str) -> None:
        health = loop.health
        loop.health = replace(
            health,
            last_error=error,
            runs=health.runs + 1,
            failures=health.failures + 1,
            failures_in_a_row=health.failures_in_a_row + 1,
        )
