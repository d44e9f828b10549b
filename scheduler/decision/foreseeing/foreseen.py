"""What is foreseen of a workload: the values of a forecast, and what it assumes."""

from dataclasses import dataclass

from scheduler.decision.ordering.queue import Ruling
from scheduler.domain.reasons import Reason
from scheduler.domain.units import GpuClassName, Instant, PerMille, WorkloadId
from scheduler.domain.workloads import Workload

Band = tuple[Instant, Instant]
Bands = tuple[tuple[GpuClassName, Band], ...]
"""Of each GPU class on which it may start, in the order in which its owner would like them."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would be said of it now. Without `bands`, nothing that is known lets it start; `liked_best` is the GPU class
    that it is told of then.

    `latest_limit_ms` is the longest time limit with which it would start now beside whoever has room kept free.
    `warning` is what it would be told beside, if it starts now or as soon as its victims have given way: that it goes
    beyond a soft limit. `booking_id`: inside which booking it would start, which is charged in its stead.
    """

    ruling: Ruling
    liked_best: GpuClassName
    bands: Bands = ()
    victims: int = 0
    latest_limit_ms: int | None = None
    warning: Ruling | None = None
    booking_id: WorkloadId | None = None

    @property
    def starts(self) -> Band | None:
        """It takes the first room that there is on any of them."""
        if not self.bands:
            return None
        return min(first for _, (first, _) in self.bands), min(last for _, (_, last) in self.bands)

    @property
    def gpu_class(self) -> GpuClassName:
        """Where it has started at the latest if all goes as slowly as it may."""
        return min(self.bands, key=lambda each: each[1][::-1])[0] if self.bands else self.liked_best

    @property
    def choices(self) -> Bands:
        """Of those on which it may be the first to find room."""
        return tuple(each for each in self.bands if self.starts is not None and each[1][0] <= self.starts[1])

    @property
    def starts_now(self) -> bool:
        return self.ruling.reason is Reason.LAUNCHING

    @classmethod
    def unknown(cls, workload: Workload) -> "Forecast":
        """Before the first decision."""
        return cls(Ruling(Reason.SUBMITTED), workload.spec.gpu_classes[0])


@dataclass(frozen=True, slots=True)
class Assumed:
    """`usual` is the share of time limits that is used. `gone` waits no more: it would be cancelled for what is asked.

    `since`: what is asked about starts no earlier, if all goes as fast and as slowly as it may. `leaders_max`: of how many
    that wait themselves it is foretold when they end, because it follows them.
    """

    usual: PerMille
    gone: WorkloadId | None = None
    since: Band | None = None
    leaders_max: int = 3

    @property
    def least(self) -> PerMille:
        """The share of those that end soon."""
        return PerMille(self.usual // 8)
