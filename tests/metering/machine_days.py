"""Generated days of one GPU with a known truth: what ran in every second, and what a sampler would have read of it.

Simulated from stated distributions with a seed; no recording of a real machine is behind it.
"""

import random
from dataclasses import dataclass

from scheduler.domain.units import AttemptId, GpuUuid, Instant
from scheduler.metering.recorded import Recorded

DAY_S = 86_400
STEP_S = 15
IDLE_MW, BUSY_MW = 75_000, 450_000


@dataclass(frozen=True)
class Day:
    """`works[s]`: whether kernels ran in that second; `hangs[s]`: spinning without work; `is_read[i]`: whether the
    sampler was there at step i."""

    works: list[bool]
    hangs: list[bool]
    is_read: list[bool]

    def rows(self) -> list[Recorded]:
        """What was read, every 15 s: the highest sample since the last, and the energy counter."""
        rows, energy_mj = [], 0
        for step in range(DAY_S // STEP_S):
            span = slice(step * STEP_S, (step + 1) * STEP_S)
            busy = sum(self.works[span])
            energy_mj += IDLE_MW * STEP_S + (BUSY_MW - IDLE_MW) * busy
            percent = 100 if busy or any(self.hangs[span]) else 0
            if self.is_read[step]:
                at = Instant((step + 1) * STEP_S * 1_000)
                rows.append(
                    Recorded(
                        at,
                        GpuUuid("GPU-a"),
                        (AttemptId("a-1"),),
                        percent=percent,
                        energy_millijoules=energy_mj,
                        process_count=1,
                    )
                )
        return rows

    def idle_spells(self, longer_than_s: int) -> list[tuple[int, int]]:
        """Spells of seconds without work or hang, longer than so many."""
        spells, start = [], 0
        for second in range(DAY_S + 1):
            is_idle = second < DAY_S and not self.works[second] and not self.hangs[second]
            if not is_idle:
                if second - start > longer_than_s:
                    spells.append((start, second))
                start = second + 1
        return spells


def constant(_: random.Random) -> Day:
    """Training that never stops."""
    return _day([True] * DAY_S)


def bursty(chance: random.Random) -> Day:
    """Bursts of seconds, minutes apart, and sometimes nothing for an hour or three."""
    works = [False] * DAY_S
    second = 0
    while second < DAY_S:
        length = chance.randint(1, 20)
        works[second : second + length] = [True] * length
        second += length + (chance.randint(3_600, 10_800) if chance.random() < 0.05 else chance.randint(30, 1_500))
    return _day(works[:DAY_S])


def interactive(chance: random.Random) -> Day:
    """Someone at work from nine to six with pauses for thought and lunch, and nobody at night."""
    works = [False] * DAY_S
    second = 9 * 3_600
    while second < 18 * 3_600:
        length = chance.randint(2, 240)
        works[second : second + length] = [True] * length
        second += length + int(chance.expovariate(1 / 240)) + (3_000 if second // 3_600 == 12 else 0)
    return _day(works)


def hanging(chance: random.Random) -> Day:
    """Training that hangs in a collective for some hours."""
    day = constant(chance)
    start, length = chance.randint(3_600, 40_000), chance.randint(7_200, 20_000)
    for second in range(start, start + length):
        day.works[second], day.hangs[second] = False, True
    return day


def with_gaps(day: Day, chance: random.Random) -> Day:
    """The same day, with a sampler that was away now and then, for minutes up to an hour."""
    is_read = list(day.is_read)
    for _ in range(chance.randint(1, 8)):
        start, length = chance.randrange(len(is_read)), chance.randint(1, 240)
        is_read[start : start + length] = [False] * len(is_read[start : start + length])
    return Day(day.works, day.hangs, is_read)


def _day(works: list[bool]) -> Day:
    return Day(works, [False] * DAY_S, [True] * (DAY_S // STEP_S))
