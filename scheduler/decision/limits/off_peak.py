"""Off-peak classes: work that starts only at the stated hours, or while enough of a GPU class is free."""

from scheduler.decision.placing.capacity import Capacity
from scheduler.domain.policy import Policy, PriorityClass
from scheduler.domain.units import GpuClassName, Instant, PriorityClassName


class OffPeakTimes:
    """Whether the calendar lets each class start, as queues were last re-ordered, and what is free now."""

    def __init__(self, policy: Policy, capacity: Capacity) -> None:
        self._capacity = capacity
        self._time_zone = policy.time_zone
        self._classes = [each for each in policy.priority_classes.values() if each.off_peak is not None]
        self._at = Instant(0)
        self._open: dict[tuple[PriorityClassName, GpuClassName], bool] = {}
        self._in_reach: dict[GpuClassName, int] = {}
        """GPUs of each class that work has or can have, as far as it was asked since the last change."""

    def pass_time(self, at: Instant) -> None:
        self._at = at

    def is_open(self, terms: PriorityClass, gpu_class: GpuClassName) -> bool:
        """Whether work of the class may start on that GPU class, beside what this cycle planned."""
        hours = terms.off_peak
        if hours is None or hours.contains(self._at, self._time_zone):
            return True
        return hours.free is not None and self.free_per_mille(gpu_class) >= hours.free

    def free_per_mille(self, gpu_class: GpuClassName) -> int:
        """The share of the class that anybody could have. What idles in somebody's booking nobody else can."""
        gpus = self._in_reach.get(gpu_class)
        if gpus is None:
            gpus = self._in_reach[gpu_class] = self._capacity.gpus_in_reach(gpu_class)
        return 1000 * self._capacity.gpus_free(gpu_class) // gpus if gpus else 0

    def renew(self) -> set[PriorityClassName]:
        """The priority classes for which a GPU class has opened or closed since the last look."""
        changed: set[PriorityClassName] = set()
        self._in_reach.clear()
        for terms in self._classes:
            for gpu_class in self._capacity.gpus:
                is_open = self.is_open(terms, gpu_class)
                if self._open.get((terms.name, gpu_class)) is not is_open:
                    self._open[terms.name, gpu_class] = is_open
                    changed.add(terms.name)
        return changed
