"""Recordings of GPUs from first principles, for judging the judge: what a GPU of a given model draws second by second while
somebody uses it, and what an exporter makes of that. It shares nothing with `benchmarks/idle_rules`.

Power is the idle power of the model, or what a held context or raised clocks draw, plus drift and noise, plus the share of
its limit that the work takes. The counter is the integral of it; stamps, figures, pauses and restarts are the recorder's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final, NamedTuple

import numpy as np

from scheduler.domain.units import MS_PER_SECOND, AttemptId, GpuUuid, Instant
from scheduler.metering.recorded import Recorded

Seconds = np.ndarray[Any, np.dtype[Any]]
START_S: Final = 1_790_000_000
HOUR_S: Final = 3_600
ATTEMPT: Final = AttemptId("a")
COLUMNS: Final = ("percent", "milliwatts", "energy_millijoules", "process_count")


class Model(NamedTuple):
    """Watts with nothing loaded, with a context held, with clocks raised, and at the limit."""

    name: str
    cold_w: float
    context_w: float
    awake_w: float
    limit_w: float


MODELS: Final = (
    Model("H100", 70, 75, 115, 700),
    Model("A100", 52, 60, 85, 400),
    Model("L40S", 32, 36, 90, 350),
    Model("L4", 13, 16, 30, 72),
    Model("T4", 9, 11, 27, 70),
    Model("V100", 25, 40, 57, 300),
    Model("A10", 15, 20, 55, 150),
    Model("H200", 76, 80, 120, 700),
)


class Recorder(NamedTuple):
    """How it was read: every so many seconds, stamped to so many milliseconds, counted in so many millijoules."""

    pace_s: int
    stamp_ms: int
    counted_mj: int
    jitter_s: float
    lost_share: float
    empty_share: float
    pauses: int
    reboots: int
    clock_set_s: int

    @property
    def is_disturbed(self) -> bool:
        return bool(self.lost_share or self.empty_share or self.pauses or self.reboots or self.clock_set_s)


@dataclass(frozen=True)
class Truth:
    """A GPU second by second: how busy it was (0 to 1), what it drew, what it would have drawn unused, and what the
    recorder's clock showed."""

    busy: Seconds
    watts: Seconds
    quiet_watts: Seconds
    has_process: Seconds
    stamps_s: Seconds


def uses(seconds: int, lengths: Iterator[float], rests: Iterator[float]) -> Seconds:
    busy = np.zeros(seconds)
    start = next(rests) / 2
    while start < seconds:
        length_s = next(lengths)
        if length_s < 1:
            busy[int(start)] = length_s
        busy[int(start) : int(start + length_s)] = 1
        start += length_s + max(1.0, next(rests))
    return busy


def unused(_: np.random.Generator, seconds: int) -> Seconds:
    return np.zeros(seconds)


def training(chance: np.random.Generator, seconds: int) -> Seconds:
    busy = np.zeros(seconds)
    busy[: int(chance.uniform(0.1, 0.7) * seconds)] = chance.uniform(0.7, 1)
    return busy


def late_training(chance: np.random.Generator, seconds: int) -> Seconds:
    return training(chance, seconds)[::-1]


def epochs(chance: np.random.Generator, seconds: int) -> Seconds:
    return uses(seconds, drawn(chance.uniform, 200, 3_000), drawn(chance.uniform, 60, 5_400))


def notebook(chance: np.random.Generator, seconds: int) -> Seconds:
    return uses(seconds, drawn(chance.lognormal, 1.5, 1.3), drawn(chance.lognormal, 5.5, 1.4))


def timer(chance: np.random.Generator, seconds: int) -> Seconds:
    every_s = int(chance.choice([300, 600, 900, 1_200, 1_740]))
    return uses(seconds, repeat(float(chance.uniform(0.5, 10))), repeat(float(every_s)))


def service(chance: np.random.Generator, seconds: int) -> Seconds:
    return (chance.random(seconds) < 10 ** chance.uniform(-3.2, -1)) * chance.uniform(0.02, 1)


def feeble(chance: np.random.Generator, seconds: int) -> Seconds:
    """Seconds at a few percent."""
    rests = drawn(chance.uniform, 300, 1_750)
    return uses(seconds, drawn(chance.uniform, 1, 12), rests) * chance.uniform(0.01, 0.06)


def fading(chance: np.random.Generator, seconds: int) -> Seconds:
    share = chance.uniform(0.3, 0.8)
    lengths = chain((max(0.2, 1_200 * share**number) for number in range(12)), repeat(0.0))
    return uses(seconds, lengths, drawn(chance.uniform, 300, 1_700))


def touches(chance: np.random.Generator, seconds: int) -> Seconds:
    """A second at a time, after most of a window."""
    busy = np.zeros(seconds)
    busy[:1_800] = 1
    busy[3_000 :: int(chance.uniform(1_500, 1_790))] = chance.uniform(0.03, 1)
    return busy


def heavy_tails(chance: np.random.Generator, seconds: int) -> Seconds:
    lengths, rests = drawn(chance.pareto, 1.1), drawn(chance.pareto, 1.0)
    return uses(seconds, (min(5e3, each + 0.3) for each in lengths), (min(2e4, 60 * each + 10) for each in rests))


def drawn(draw: Callable[..., Any], *terms: float) -> Iterator[float]:
    while True:
        yield float(draw(*terms))


KINDS: Final[dict[str, Callable[[np.random.Generator, int], Seconds]]] = {
    "unused": unused,
    "training": training,
    "late training": late_training,
    "epochs": epochs,
    "notebook": notebook,
    "timer": timer,
    "service": service,
    "feeble": feeble,
    "fading": fading,
    "touches": touches,
    "heavy tails": heavy_tails,
}
"""How busy a GPU is in each second, 0 to 1."""


def recorder_of(chance: np.random.Generator) -> Recorder:
    pick = chance.choice
    return Recorder(
        pace_s=int(pick([5, 15, 30, 60])),
        stamp_ms=int(pick([1, 1, 1_000])),
        counted_mj=int(pick([1, 1, 1_000])),
        jitter_s=float(pick([0, 0, 0.1, 1])),
        lost_share=float(pick([0, 0, 0.01, 0.1])),
        empty_share=float(pick([0, 0, 0.02])),
        pauses=int(pick([0, 0, 2, 5])),
        reboots=int(pick([0, 0, 0, 1, 3])),
        clock_set_s=int(pick([0, 0, 0, 0, 90, 1_200, -90, -1_200])),
    )


def gpu_of(model: Model, kind: str, chance: np.random.Generator, hours: int) -> Truth:
    """Clocks stay up for some seconds after work, and a context for as long as its process."""
    seconds = hours * HOUR_S
    busy, load = KINDS[kind](chance, seconds), float(chance.uniform(0.1, 1))
    works = busy > 0
    awake = works.copy()
    for second in range(1, int(chance.integers(1, 13))):
        awake[second:] |= works[:-second]
    holds = works.copy()
    if chance.random() < 0.5 and works.any():
        holds[int(np.argmax(works)) :] = True
    is_always_awake = chance.random() < 0.25
    rest = np.full(seconds, model.awake_w) if is_always_awake else np.where(holds, model.context_w, model.cold_w)
    time_s = np.arange(seconds)
    drift = chance.uniform(0, 0.04) * model.cold_w * np.sin(2 * np.pi * (time_s / 86_400 + chance.random()))
    sigma = float(chance.choice([0.05, 0.3, 1])) * (model.cold_w / 70) ** 0.5
    noise = chance.normal(0, sigma, seconds)
    every_s = int(chance.choice([20, 200]))
    knots = np.arange(0, seconds + every_s, every_s)
    wander = np.interp(time_s, knots, chance.normal(0, sigma, len(knots)))
    quiet = rest + drift + noise + wander
    raised = 0 if is_always_awake else awake * (model.awake_w - rest)
    watts = np.maximum(1, quiet + raised + busy * load * (model.limit_w - model.awake_w))
    return Truth(busy, watts, quiet, holds, time_s + START_S)


def recorded(truth: Truth, uuid: GpuUuid, how: Recorder, chance: np.random.Generator) -> tuple[list[Recorded], Truth]:
    """The rows, and the truth by the recorder's clock."""
    seconds = len(truth.busy)
    offsets = np.zeros(seconds, dtype=np.int64)
    if how.clock_set_s:
        offsets[int(chance.integers(seconds // 4, 3 * seconds // 4)) :] = how.clock_set_s
    is_down = np.zeros(seconds, dtype=bool)
    for start in chance.integers(0, seconds, how.pauses):
        is_down[start : start + int(chance.lognormal(5.5, 1.5))] = True
    boots = sorted(int(each) for each in chance.integers(0, seconds, how.reboots))
    for boot in boots:
        is_down[max(0, boot - int(chance.integers(60, 400))) : boot] = True
    joules = np.concatenate([[0], np.cumsum(truth.watts)])
    reads = np.arange(how.pace_s * chance.random(), seconds, how.pace_s)
    reads = np.sort(np.clip(reads + chance.normal(0, how.jitter_s, len(reads)), 1, seconds - 1))
    rows = []
    for read in reads:
        second = int(read)
        if is_down[second] or chance.random() < how.lost_share:
            continue
        since = max((boot for boot in boots if boot <= read), default=None)
        counted = (
            joules[second] + (read - second) * truth.watts[second] - (-5_000 if since is None else joules[since])
        )
        stamp_ms = int((START_S + read + offsets[second]) * MS_PER_SECOND) // how.stamp_ms * how.stamp_ms
        figures = {
            "percent": round(100 * float(truth.busy[second - 1])),
            "milliwatts": int(truth.watts[second - 1] * 1_000),
            "energy_millijoules": int(counted * 1_000) // how.counted_mj * how.counted_mj,
            "process_count": int(truth.has_process[second]),
        }
        kept = {name: figure for name, figure in figures.items() if chance.random() >= how.empty_share}
        rows.append(Recorded(Instant(stamp_ms), uuid, (ATTEMPT,), **kept))
    return rows, Truth(truth.busy, truth.watts, truth.quiet_watts, truth.has_process, truth.stamps_s + offsets)


def uses_between(truth: Truth, start_s: float, end_s: float) -> list[Seconds]:
    """What each use took of energy above rest in that time, second by second, with the clocks that stayed up after it."""
    places = np.flatnonzero((truth.stamps_s >= start_s) & (truth.stamps_s < end_s))
    if not len(places):
        return []
    busy = places[truth.busy[places] > 0]
    above = truth.watts - truth.quiet_watts
    if not len(busy):
        return []
    groups = np.split(busy, np.flatnonzero(np.diff(busy) > 1) + 1)
    return [above[group[0] : min(group[-1] + 1, int(places[-1]) + 1)] for group in groups]
