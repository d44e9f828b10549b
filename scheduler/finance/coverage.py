"""Coverage: what was granted and promised against what the GPUs deliver, per GPU class and period. Pure.

    (outstanding + promised) ÷ deliverable

Hours are a liability: whoever has them plans on them. An award is taken to be spent evenly from when it may be until it
expires, or over a year where it does not; hours that several classes can serve are spread over these by what each
delivers. Standard GPU-milliseconds throughout; what falls into a period, and each class's share of it, is rounded up.
Pay keeps the weights of its day where later ones would buy less: of a class that weighs more today it buys more than its
standard hours, and that much is counted. Class factors are left out, of what is kept as of what is not.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_DAY, GpuClassName, Instant, PerMille

ENDLESS_MS = 365 * MS_PER_DAY

Weights = tuple[tuple[GpuClassName, PerMille], ...]


class Kept(NamedTuple):
    """What commitments are added up by: where they may be spent, whether they are only promised yet, and the weights that
    they keep."""

    gpu_classes: frozenset[GpuClassName] | None
    is_promised: bool
    weights: Weights = ()


_FINE_BITS = 80
"""Rates are parts of 2^80 of a millisecond a millisecond: a million of them over ten thousand years are off by less than
a part of `_SLACK`, which is left out of account before anything is rounded up."""
_SLACK = 1 << (_FINE_BITS - 10)


@dataclass(frozen=True, slots=True)
class Commitment:
    """Hours of somebody: they may be spent from `starts_at` until `ends_at` (None: for ever) on `gpu_classes` (None:
    any), at `weights` where these are below today's. A negative amount takes a commitment back."""

    amount: int
    starts_at: Instant
    ends_at: Instant | None
    gpu_classes: frozenset[GpuClassName] | None
    is_promised: bool = False
    weights: Weights = ()


@dataclass(frozen=True, slots=True)
class ClassSupply:
    """GPUs of a class, and what an hour of one counts."""

    gpus: int
    weight: PerMille


@dataclass(frozen=True, slots=True)
class ClassCoverage:
    """Of one class in one period. `outstanding` was granted and is left, `promised` will be granted or vest."""

    gpu_class: GpuClassName
    gpus: int
    outstanding: int
    promised: int
    deliverable: int

    @property
    def ratio_per_mille(self) -> int | None:
        """Rounded up; None where nothing is delivered."""
        committed = self.outstanding + self.promised
        return -(-committed * 1000 // self.deliverable) if self.deliverable else None

    def exceeds(self, ratio_max: PerMille) -> bool:
        return (self.outstanding + self.promised) * 1000 > ratio_max * self.deliverable


class Timeline:
    """Commitments over all time, each spent evenly: made once, and asked for one period after the other."""

    def __init__(self, commitments: Iterable[Commitment], now: Instant) -> None:
        steps: dict[Kept, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for each in commitments:
            since = max(each.starts_at, now)
            until = each.ends_at if each.ends_at is not None else since + ENDLESS_MS
            if until > since:
                rate = _rate(each.amount, until - since)
                of_kind = steps[Kept(each.gpu_classes, each.is_promised, each.weights)]
                of_kind[since] += rate
                of_kind[until] -= rate
        self._rates = {kept: _Rates(of_kind) for kept, of_kind in steps.items()}
        self.times: Sequence[int] = sorted({at for of_kind in steps.values() for at in of_kind})
        """When more or less is committed than before."""

    @property
    def ends_at(self) -> int:
        return self.times[-1] if self.times else 0

    def within(self, starts_at: int, ends_at: int) -> dict[Kept, int]:
        """How much falls into it, in fine parts. What could have been spent before `now` is from then on."""
        return {kept: rates.until(ends_at) - rates.until(starts_at) for kept, rates in self._rates.items()}


class _Rates:
    """A sum that grows at a rate which changes at stated times."""

    def __init__(self, steps: Mapping[int, int]) -> None:
        self._times = sorted(steps)
        self._after = list(accumulate(steps[at] for at in self._times))
        lengths = (later - at for at, later in zip(self._times, self._times[1:], strict=False))
        grown = (rate * length for rate, length in zip(self._after, lengths, strict=False))
        self._sums = [0, *accumulate(grown)]

    def until(self, at: int) -> int:
        place = bisect_right(self._times, at) - 1
        return 0 if place < 0 else self._sums[place] + self._after[place] * (at - self._times[place])


def coverage(
    commitments: Iterable[Commitment],
    supply: Mapping[GpuClassName, ClassSupply],
    availability: PerMille,
    period: Period,
    now: Instant,
) -> tuple[ClassCoverage, ...]:
    """By class. Of a period that runs, what is left of it counts, on both sides."""
    return covered(
        [Timeline(commitments, now)], {}, supply, availability, (max(now, period.starts_at), period.ends_at)
    )


def covered(
    timelines: Iterable[Timeline],
    granted: Mapping[Kept, int],
    supply: Mapping[GpuClassName, ClassSupply],
    availability: PerMille,
    span: tuple[int, int],
) -> tuple[ClassCoverage, ...]:
    """The same of everything that falls into the span, and what is `granted` for it alone."""
    length = max(0, span[1] - span[0])
    deliverable = {
        name: each.gpus * length * each.weight * availability // 1_000_000 for name, each in supply.items()
    }
    fine: dict[Kept, int] = defaultdict(int)
    for kept, whole in granted.items():
        fine[kept] += whole << _FINE_BITS
    for timeline in timelines if length else ():
        for kept, part in timeline.within(*span).items():
            fine[kept] += part
    outstanding, promised = dict.fromkeys(supply, 0), dict.fromkeys(supply, 0)
    for kept, part in fine.items():
        sums = promised if kept.is_promised else outstanding
        amount = -((_SLACK - part) >> _FINE_BITS)
        kept_weights = dict(kept.weights)
        for name, share, of in _spread(amount, kept.gpu_classes, deliverable):
            weight = supply[name].weight
            sums[name] += -(-share * weight // (of * min(weight, kept_weights.get(name, weight))))
    return tuple(
        ClassCoverage(name, supply[name].gpus, outstanding[name], promised[name], deliverable[name])
        for name in sorted(supply)
    )


def _rate(amount: int, length: int) -> int:
    """To the nearest, and of what is taken back as of what is committed: the two cancel out."""
    rate = ((abs(amount) << _FINE_BITS) + length // 2) // length
    return rate if amount >= 0 else -rate


def _spread(
    amount: int, classes: frozenset[GpuClassName] | None, deliverable: Mapping[GpuClassName, int]
) -> list[tuple[GpuClassName, int, int]]:
    """Each class, and its share as a fraction."""
    names = sorted(name for name in deliverable if classes is None or name in classes)
    total = sum(deliverable[name] for name in names)
    if not total:
        return [(name, amount, 1) for name in names[:1]]
    return [(name, amount * deliverable[name], total) for name in names]
