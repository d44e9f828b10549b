"""Generated machine-days with a known truth: what ran on every GPU in every second, and what would have been read.

Simulated from stated distributions with a seed; no recording of a real machine is behind them.
"""

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from scheduler.domain.units import AttemptId, GpuUuid, Instant
from scheduler.metering.recorded import Recorded

DAY_S = 86_400
STEP_S = 15
STEPS = DAY_S // STEP_S
IDLE_MW, BUSY_MW, NOISE_MW = 72_000, 450_000, 1_500

Seconds = npt.NDArray[np.bool_]
Steps = npt.NDArray[np.int64]


def _never(length: int) -> Seconds:
    return np.zeros(length, dtype=np.bool_)


@dataclass(frozen=True)
class Gpu:
    """By the second: whether kernels of a job ran, whether one spun without work, and whether the counter was latched
    with nobody there."""

    works: Seconds
    hangs: Seconds = field(default_factory=lambda: _never(DAY_S))
    is_latched: Seconds = field(default_factory=lambda: _never(DAY_S))

    @property
    def is_used(self) -> Seconds:
        return self.works | self.hangs

    def reads(self) -> Seconds:
        """The seconds in which utilisation reads as 100."""
        return self.works | self.hangs | self.is_latched


@dataclass(frozen=True)
class Day:
    """An attempt with its GPUs for a day. By the step of 15 s: whether the sampler was there, how many seconds its
    clock was ahead, and whether the energy counter began anew."""

    gpus: tuple[Gpu, ...]
    is_read: Seconds
    ahead_s: Steps
    is_reset: Seconds

    def rows(self, chance: random.Random) -> Iterator[Recorded]:
        """What the agent reads of every step: its highest sample, and the energy counter."""
        for number, gpu in enumerate(self.gpus):
            counter = self._counter(gpu, chance, STEP_S)
            processes = ~(in_step(gpu.is_latched) & ~in_step(gpu.is_used))
            percent = in_step(gpu.reads())
            for step in range(STEPS):
                if self.is_read[step]:
                    yield Recorded(
                        at=self.at(step),
                        gpu_uuid=GpuUuid(f"GPU-{number}"),
                        attempts=(AttemptId("a-1"),),
                        percent=100 if percent[step] else 0,
                        energy_millijoules=int(counter[step]),
                        process_count=int(processes[step]),
                    )

    def gauge_rows(self, chance: random.Random, pace_s: int, columns: Collection[str]) -> Iterator[Recorded]:
        """What dcgm-exporter has, at its own pace: the last second's sample alone, with those of `power_watts`,
        `energy_joules` and `process_count` that are among the columns."""
        for number, gpu in enumerate(self.gpus):
            counter = self._counter(gpu, chance, pace_s)
            reads, works, is_used = gpu.reads(), gpu.works, gpu.is_used
            noise = np.random.default_rng(chance.getrandbits(32)).normal(0, NOISE_MW, DAY_S // pace_s)
            for row, second in enumerate(range(pace_s, DAY_S + 1, pace_s)):
                step = (second - 1) // STEP_S
                if self.is_read[step]:
                    drawn = int((BUSY_MW if works[second - 1] else IDLE_MW) + noise[row])
                    processes = int(bool(is_used[second - 1] or not gpu.is_latched[second - 1]))
                    yield Recorded(
                        at=Instant((second + int(self.ahead_s[step])) * 1_000),
                        gpu_uuid=GpuUuid(f"GPU-{number}"),
                        attempts=(AttemptId("a-1"),),
                        percent=100 if reads[second - 1] else 0,
                        milliwatts=drawn if "power_watts" in columns else None,
                        energy_millijoules=int(counter[row]) if "energy_joules" in columns else None,
                        process_count=processes if "process_count" in columns else None,
                    )

    def _counter(self, gpu: Gpu, chance: random.Random, pace_s: int) -> Steps:
        """The energy counter at every multiple of the pace; it begins anew where the node boots. Noise of a mean falls with
        the root of its length."""
        paces = DAY_S // pace_s
        noise = np.random.default_rng(chance.getrandbits(32)).normal(0, NOISE_MW * (STEP_S / pace_s) ** 0.5, paces)
        busy_s = gpu.works.reshape(paces, pace_s).sum(axis=1)
        risen = np.cumsum(IDLE_MW * pace_s + (BUSY_MW - IDLE_MW) * busy_s + (noise * pace_s).astype(np.int64))
        ends = np.arange(1, paces + 1) * pace_s
        for step in np.flatnonzero(self.is_reset):
            later = np.searchsorted(ends, step * STEP_S + 1)
            risen[later:] -= risen[later]
        return np.asarray(risen)

    def at(self, step: int) -> Instant:
        """When the step ended, by the node's clock."""
        return Instant(((step + 1) * STEP_S + int(self.ahead_s[step])) * 1_000)

    def is_used(self) -> Seconds:
        """By the second: whether any GPU was in use, to whatever end."""
        return np.asarray(np.logical_or.reduce([gpu.is_used for gpu in self.gpus]))

    def used_in_steps(self, until_s: int, length_s: int) -> Seconds:
        """By the step: whether any GPU was in use in it, in seconds that ended by the node's clock in so many up to
        that one."""
        ends = np.arange(1, DAY_S + 1) + np.repeat(self.ahead_s, STEP_S)
        return in_step((ends > until_s - length_s) & (ends <= until_s) & self.is_used())

    def idle_spells(self, longer_than_s: int) -> list[tuple[int, int]]:
        """Spells of seconds in which no GPU was in use, longer than so many."""
        changes = np.flatnonzero(np.diff(np.concatenate(([True], self.is_used(), [True]))))
        pairs = changes.reshape(-1, 2).tolist()
        return [(start, end) for start, end in pairs if end - start > longer_than_s]


def by_step(seconds: Seconds) -> Seconds:
    return seconds.reshape(STEPS, STEP_S)


def in_step(seconds: Seconds) -> Seconds:
    """Whether it was so in any second of the step."""
    return np.asarray(by_step(seconds).any(axis=1))


# --- what runs -------------------------------------------------------------------------------------------------------


def constant(_: random.Random) -> tuple[Gpu, ...]:
    """Training that never stops."""
    return (Gpu(~_never(DAY_S)),)


def loading(chance: random.Random) -> tuple[Gpu, ...]:
    """Training that waits for its data for up to ten minutes after every epoch."""
    return (Gpu(_bursts(lambda: (chance.randint(60, 900), chance.randint(5, 600)))),)


def bursty(chance: random.Random) -> tuple[Gpu, ...]:
    """Bursts of seconds, minutes apart, and sometimes nothing for an hour or three."""

    def burst() -> tuple[int, int]:
        rest = chance.randint(3_600, 10_800) if chance.random() < 0.05 else chance.randint(30, 1_500)
        return chance.randint(1, 20), rest

    return (Gpu(_bursts(burst)),)


def sparse(chance: random.Random) -> tuple[Gpu, ...]:
    """A second or three of work every 20 to 29 minutes: never a window of 30 without any."""
    return (Gpu(_bursts(lambda: (chance.randint(1, 3), chance.randint(1_200, 1_740)))),)


def interactive(chance: random.Random) -> tuple[Gpu, ...]:
    """Someone at work from nine to six with pauses for thought and lunch, and nobody at night."""
    works, second = _never(DAY_S), 9 * 3_600
    while second < 18 * 3_600:
        length = chance.randint(2, 240)
        works[second : second + length] = True
        second += length + int(chance.expovariate(1 / 240)) + (3_000 if second // 3_600 == 12 else 0)
    return (Gpu(works),)


def nightly(chance: random.Random) -> tuple[Gpu, ...]:
    """Batches from ten in the evening to six in the morning, and a held sandbox by day."""
    works = _bursts(lambda: (chance.randint(600, 3_600), chance.randint(10, 300)))
    works[6 * 3_600 : 22 * 3_600] = False
    return (Gpu(works),)


def unused(_: random.Random) -> tuple[Gpu, ...]:
    """Four GPUs, of which a training uses three."""
    busy = ~_never(DAY_S)
    return Gpu(busy), Gpu(busy), Gpu(busy), Gpu(_never(DAY_S))


def pipeline(chance: random.Random) -> tuple[Gpu, ...]:
    """Four GPUs that take turns of up to an hour, and all rest now and then."""
    gpus = [_never(DAY_S) for _ in range(4)]
    second = 0
    while second < DAY_S:
        length = chance.randint(600, 3_600)
        gpus[chance.randrange(4)][second : second + length] = True
        second += length + (chance.randint(2_400, 9_000) if chance.random() < 0.2 else 0)
    return tuple(Gpu(works) for works in gpus)


def hanging(chance: random.Random) -> tuple[Gpu, ...]:
    """Training that hangs in a collective for some hours: 100 % at idle power."""
    works, hangs = ~_never(DAY_S), _never(DAY_S)
    start, length = chance.randint(3_600, 40_000), chance.randint(7_200, 20_000)
    works[start : start + length], hangs[start : start + length] = False, True
    return (Gpu(works, hangs),)


def latched(chance: random.Random) -> tuple[Gpu, ...]:
    """Work until noon; then everybody is gone, and the counter stays at 100 % for some hours."""
    works, is_latched = _never(DAY_S), _never(DAY_S)
    works[3_600:43_200] = True
    is_latched[43_200 : 43_200 + chance.randint(7_200, 20_000)] = True
    return (Gpu(works, is_latched=is_latched),)


PATTERNS: dict[str, Callable[[random.Random], tuple[Gpu, ...]]] = {
    each.__name__: each
    for each in (
        constant,
        loading,
        bursty,
        sparse,
        interactive,
        nightly,
        unused,
        pipeline,
        hanging,
        latched,
    )
}


# --- what goes wrong with reading it ---------------------------------------------------------------------------------


def clean(gpus: tuple[Gpu, ...], _: random.Random) -> Day:
    return Day(gpus, ~_never(STEPS), np.zeros(STEPS, dtype=np.int64), _never(STEPS))


def gaps(gpus: tuple[Gpu, ...], chance: random.Random) -> Day:
    """The sampler is away now and then, for seconds up to an hour."""
    day = clean(gpus, chance)
    for _ in range(chance.randint(1, 12)):
        start, length = chance.randrange(STEPS), chance.choice((1, 2, 4, 8, 40, 240))
        day.is_read[start : start + length] = False
    return day


def reboots(gpus: tuple[Gpu, ...], chance: random.Random) -> Day:
    """The node boots: minutes unread, and the energy counter begins anew."""
    day = clean(gpus, chance)
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(STEPS)
        day.is_read[start : start + chance.randint(8, 32)] = False
        day.is_reset[start] = True
    return day


def skew(gpus: tuple[Gpu, ...], chance: random.Random) -> Day:
    """The node's clock is set, back or forth, by up to 40 seconds."""
    day = clean(gpus, chance)
    ahead_s = day.ahead_s.copy()
    for _ in range(chance.randint(1, 3)):
        ahead_s[chance.randrange(STEPS) :] += chance.randint(-40, 40)
    return replace(day, ahead_s=ahead_s)


DISTURBANCES: dict[str, Callable[[tuple[Gpu, ...], random.Random], Day]] = {
    each.__name__: each for each in (clean, gaps, reboots, skew)
}


def day_of(pattern: str, disturbance: str, seed: int) -> tuple[Day, random.Random]:
    """The day, and the chance that its readings' noise is to come from."""
    chance = random.Random(f"{pattern} {disturbance} {seed}")
    return DISTURBANCES[disturbance](PATTERNS[pattern](chance), chance), chance


def _bursts(next_burst: Callable[[], tuple[int, int]]) -> Seconds:
    """Work of so many seconds and rest of so many, all day."""
    works, second = _never(DAY_S), 0
    while second < DAY_S:
        length, rest = next_burst()
        works[second : second + length] = True
        second += length + rest
    return works
