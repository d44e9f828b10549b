"""A synthetic stream of workloads: who submits what when, made from stated distributions and a seed.

Distributions, after the shape that traces of GPU clusters show (Helios: Hu et al., SC 2021; Philly: Jeon et al.,
ATC 2019; openb: Weng et al., ATC 2023). They are chosen, not fitted: nothing here is anybody's real load.

- arrivals: Poisson, its rate by hour of the day and day of the week in the policy's time zone, and a queue that has
  gathered before the first morning
- who: engineers by a Zipf law, so that few ask for much
- GPUs: powers of two, most of them one; whole nodes above a node's size
- time limits: log-normal, rounded up to the values that people type; what of it a job needs: see `fates`
- priority classes: the default for most, the lowest for what can wait, the highest for a few
- sweeps: a submission in twenty is one of many small jobs of the same kind at once
- left open: as many sandboxes as the load says are opened in its first minute and never used

The stream is a function of its seed and of time alone: any stretch of it can be made again, in any order.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from scheduler.domain.people import Engineer
from scheduler.domain.periods import to_datetime, to_instant
from scheduler.domain.policy import Policy
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, GpuClassName, Instant
from scheduler.domain.values import value
from scheduler.domain.workloads import WorkloadSpec
from scheduler.simulation.asking import Asker
from scheduler.simulation.fates import Fate, Pattern, fate_of

BLOCK_MS = 10 * MS_PER_MINUTE
"""The stream is made block by block, each from a seed of its own."""

_SWEEP_SHARE = 0.05
_COPIES = (4, 16)
_SAMPLES = 400
_DRAWS_MAX = 5_000
# Submissions by hour of the day, as a share of the busiest hour: a working day with a long evening.
_BY_HOUR = (
    *(0.25, 0.2, 0.15, 0.15, 0.15, 0.2, 0.3, 0.5, 0.8, 1.0, 1.0, 1.0),
    *(0.8, 0.9, 1.0, 1.0, 1.0, 0.95, 0.8, 0.6, 0.5, 0.45, 0.4, 0.3),
)
_WEEKEND = 0.35


def opening_instant(now: Instant) -> Instant:
    """When a simulation that is first started now begins: the last Monday at 07:00 UTC, as the working week does.

    So that whoever starts it at night sees a busy cluster, and a week's allowances as they begin to be spent.
    """
    moment = to_datetime(now)
    monday = (moment - timedelta(days=moment.weekday())).replace(hour=7, minute=0, second=0, microsecond=0)
    opening = monday if monday <= moment else monday - timedelta(days=7)
    return to_instant(opening)


@value(frozen=True, slots=True)
class Arrival:
    """One submission. `id` is the same whenever the stream is made again, and fit for a command's id."""

    id: str
    at: Instant
    subject: str
    spec: WorkloadSpec
    fate: Fate


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked for. `busy` is GPU-hours asked per GPU-hour there is, in the busiest hours of a working day.

    `backlog_hours` of busy load have gathered before the stream begins and come within its first minutes.
    `left_open` sandboxes are opened before that, by as many people, and never used: whoever starts a simulation sees
    within its first hours what becomes of an idle GPU, whatever the seed.
    """

    gpus: int
    busy: float = 1.5
    backlog_hours: float = 5.0
    backlog_ms: int = 20 * MS_PER_MINUTE
    left_open: int = 0


@dataclass
class SyntheticStream:
    """Submissions of these people under this policy. `node_gpus` is the size of a node of each GPU class."""

    policy: Policy
    people: Sequence[Engineer]
    seed: int
    starts_at: Instant
    load: Load
    node_gpus: Mapping[GpuClassName, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._zone = ZoneInfo(self.policy.time_zone)
        self._asker = Asker(self.policy, self.people, self.node_gpus, Random(f"{self.seed}/people"))
        self._mean_gpu_hours = self._sampled_gpu_hours()

    def as_busy_as(self, busy: float) -> "SyntheticStream":
        """The same people under the same seed, who ask for more or for less. Nothing is sampled again."""
        other = copy(self)
        other.load = replace(self.load, busy=busy)
        return other

    def between(self, start: Instant, end: Instant) -> list[Arrival]:
        """The submissions of [start, end), in their order. Nothing comes before the stream begins."""
        first = max(0, start - self.starts_at) // BLOCK_MS
        last = (end - 1 - self.starts_at) // BLOCK_MS
        blocks = (self._block(index) for index in range(first, last + 1))
        opened = self._left_open() if first == 0 else ()
        return sorted(
            (arrival for block in (opened, *blocks) for arrival in block if start <= arrival.at < end),
            key=lambda arrival: (arrival.at, arrival.id),
        )

    def expected(self, ends_at: Instant) -> float:
        """How many workloads it holds in the mean, from its beginning to then; the backlog is not counted."""
        blocks = range((ends_at - self.starts_at) // BLOCK_MS)
        activity = sum(self._activity(Instant(self.starts_at + index * BLOCK_MS)) for index in blocks)
        per_submission = 1 - _SWEEP_SHARE + _SWEEP_SHARE * sum(_COPIES) / 2
        return self._per_hour * activity * BLOCK_MS / MS_PER_HOUR * per_submission

    def fate_of(self, spec: WorkloadSpec) -> Fate:
        """What becomes of work that asks for this, of the stream or not."""
        return fate_of(self.seed, spec)

    def _block(self, index: int) -> Iterator[Arrival]:
        chance = Random(f"{self.seed}/block/{index}")
        block_at = self.starts_at + index * BLOCK_MS
        count = 0
        for offset_ms in self._offsets(index, Instant(block_at), chance):
            engineer = self._asker.engineer(chance)
            copies = chance.randint(*_COPIES) if chance.random() < _SWEEP_SHARE else 1
            for spec in self._asker.ask(engineer, chance, label=f"{index}-{count}", copies=copies):
                yield Arrival(
                    id=f"sim-{self.seed}-{index}-{count}",
                    at=Instant(block_at + offset_ms),
                    subject=engineer.subject,
                    spec=spec,
                    fate=self.fate_of(spec),
                )
                count += 1

    def _left_open(self) -> Iterator[Arrival]:
        """Drawn as all else, until somebody asks for a sandbox of one GPU whose fate is to rest."""
        chance = Random(f"{self.seed}/left open")
        owners: set[str] = set()
        for number in range(_DRAWS_MAX):
            if len(owners) == self.load.left_open:
                return
            engineer = self._asker.engineer(chance)
            (spec,) = self._asker.ask(engineer, chance, label=f"open-{number}", copies=1)
            fate = self.fate_of(spec)
            if fate.pattern is Pattern.IDLE and spec.gpus == 1 and engineer.subject not in owners:
                at = Instant(self.starts_at + len(owners))
                owners.add(engineer.subject)
                yield Arrival(f"sim-{self.seed}-open-{len(owners)}", at, engineer.subject, spec, fate)

    def _offsets(self, index: int, block_at: Instant, chance: Random) -> list[int]:
        """When within the block somebody submits: exponential gaps at the hour's rate, and the backlog's."""
        per_ms = self._per_hour * self._activity(block_at) / MS_PER_HOUR
        backlog_blocks = self.load.backlog_ms // BLOCK_MS
        if index < backlog_blocks:
            per_ms += self._per_hour * self.load.backlog_hours / self.load.backlog_ms
        offsets: list[int] = []
        at = chance.expovariate(per_ms)
        while at < BLOCK_MS:
            offsets.append(int(at))
            at += chance.expovariate(per_ms)
        return offsets

    def _activity(self, at: Instant) -> float:
        local: datetime = to_datetime(at).astimezone(self._zone)
        return _BY_HOUR[local.hour] * (_WEEKEND if local.weekday() >= 5 else 1.0)

    @property
    def _per_hour(self) -> float:
        """Submissions, in the busiest hours."""
        return self.load.gpus * self.load.busy / self._mean_gpu_hours

    def _sampled_gpu_hours(self) -> float:
        """What a submission asks for in the mean, by sampling: so that the load is the one that was asked for."""
        chance = Random(f"{self.seed}/mean")
        total_ms = 0
        for number in range(_SAMPLES):
            engineer = self._asker.engineer(chance)
            copies = chance.randint(*_COPIES) if chance.random() < _SWEEP_SHARE else 1
            for spec in self._asker.ask(engineer, chance, label=f"mean-{number}", copies=copies):
                run_ms = self.fate_of(spec).run_ms
                total_ms += spec.gpus * min(spec.time_limit_ms, spec.time_limit_ms if run_ms is None else run_ms)
        return total_ms / _SAMPLES / MS_PER_HOUR
