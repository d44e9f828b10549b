"""Coverage: what was granted and promised against what the GPUs deliver, per GPU class and period. Pure.

    (outstanding + promised) ÷ deliverable

Hours are a liability: whoever has them plans on them. An award is taken to be spent evenly from when it may be until it
expires, or over a year where it does not; hours that several classes can serve are spread over these by what each
delivers. Standard GPU-milliseconds throughout; shares are rounded up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_DAY, GpuClassName, Instant, PerMille

ENDLESS_MS = 365 * MS_PER_DAY


@dataclass(frozen=True, slots=True)
class Commitment:
    """Hours of somebody: they may be spent from `starts_at` until `ends_at` (None: for ever) on `gpu_classes` (None:
    any). A negative amount takes a commitment back."""

    amount: int
    starts_at: Instant
    ends_at: Instant | None
    gpu_classes: frozenset[GpuClassName] | None
    is_promised: bool = False


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


def coverage(
    commitments: Iterable[Commitment],
    supply: Mapping[GpuClassName, ClassSupply],
    availability: PerMille,
    period: Period,
    now: Instant,
) -> tuple[ClassCoverage, ...]:
    """By class. Of a period that runs, what is left of it counts, on both sides."""
    starts_at = max(now, period.starts_at)
    length = max(0, period.ends_at - starts_at)
    deliverable = {
        name: each.gpus * length * each.weight * availability // 1_000_000 for name, each in supply.items()
    }
    outstanding, promised = dict.fromkeys(supply, 0), dict.fromkeys(supply, 0)
    for commitment in commitments:
        amount = _within(commitment, (starts_at, period.ends_at), now)
        kept = promised if commitment.is_promised else outstanding
        for name, part in _spread(amount, commitment.gpu_classes, deliverable):
            kept[name] += part
    return tuple(
        ClassCoverage(name, supply[name].gpus, outstanding[name], promised[name], deliverable[name])
        for name in sorted(supply)
    )


def _within(commitment: Commitment, window: tuple[int, int], now: Instant) -> int:
    """How much of it falls into the window; what could have been spent before is spent from now on."""
    starts_at, ends_at = window
    since = max(commitment.starts_at, now)
    until = commitment.ends_at if commitment.ends_at is not None else since + ENDLESS_MS
    overlap = min(until, ends_at) - max(since, starts_at)
    return -(-commitment.amount * overlap // (until - since)) if overlap > 0 else 0


def _spread(
    amount: int, classes: frozenset[GpuClassName] | None, deliverable: Mapping[GpuClassName, int]
) -> list[tuple[GpuClassName, int]]:
    names = sorted(name for name in deliverable if classes is None or name in classes)
    total = sum(deliverable[name] for name in names)
    if not total:
        return [(name, amount) for name in names[:1]]
    return [(name, -(-amount * deliverable[name] // total)) for name in names]
