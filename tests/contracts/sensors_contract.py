"""What every way of reading GPUs comes to in the books, the agent's and Prometheus' alike: subclass `SensorsContract`
and give a `rig`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from scheduler.domain.units import GpuUuid, Instant
from scheduler.metering.use import Stretch, total
from tests.lifecycle.build import NOON, Company

GPU = GpuUuid("GPU-n0-0")
END_MS = 20 * 60_000


@dataclass(frozen=True)
class Truth:
    """What a GPU of n0 really does, by milliseconds since noon: power is what it draws and energy its integral."""

    watts: Callable[[int], float] = lambda _: 300.0
    percent: Callable[[int], int] = lambda _: 80
    is_read: Callable[[int], bool] = lambda _: True
    has_energy: Callable[[int], bool] = lambda _: True
    energy_reset_ms: int = END_MS + 1
    xids: Mapping[int, int] = field(default_factory=dict)
    """Each with when it came in."""

    def xids_between(self, after_ms: int, until_ms: int) -> list[int]:
        return [xid for ms, xid in sorted(self.xids.items()) if after_ms < ms <= until_ms]

    def millijoules(self, at_ms: int) -> int:
        """The counter, as exactly as its second allows."""
        start = self.energy_reset_ms if at_ms >= self.energy_reset_ms else 0
        return round(sum(self.watts(ms) * 1_000 for ms in range(start, at_ms, 1_000)))


class SensorsRig(Protocol):
    """`run` reads the GPU from noon on; the process that reads ends and begins anew at each of `restarts`. The readings
    are in the company's books then."""

    company: Company

    def run(self, truth: Truth, restarts: Sequence[int] = ()) -> None: ...


class SensorsContract:
    def stretches(self, rig: SensorsRig) -> list[Stretch]:
        with rig.company.store.reading() as books:
            return list(books.samples.windows([GPU], Instant(0), Instant(2**62)))

    def refused(self, rig: SensorsRig) -> int:
        with rig.company.store.reading() as books:
            return sum(each.count for each in books.samples.refusals())

    def test_windows_follow_each_other_without_a_hole(self, rig: SensorsRig) -> None:
        rig.run(Truth())
        told = self.stretches(rig)
        assert all(before.end == after.start for before, after in pairwise(told))
        assert all(before.sequence < after.sequence for before, after in pairwise(told))
        assert told[-1].end - told[0].start > END_MS * 3 // 4
        use = total(each.use for each in told)
        assert use.covered_ms == told[-1].end - told[0].start
        assert (use.percent_max, use.utilization_permille) == (80, 800)
        assert self.refused(rig) == 0

    def test_a_restart_neither_repeats_nor_leaves_out_anything(self, rig: SensorsRig) -> None:
        rig.run(Truth(), restarts=(5 * 60_000, 11 * 60_000))
        told = self.stretches(rig)
        assert all(before.end == after.start for before, after in pairwise(told))
        assert told[-1].end - told[0].start > END_MS * 3 // 4
        assert self.refused(rig) == 0

    def test_energy_is_the_integral_of_power_within_one_per_cent(self, rig: SensorsRig) -> None:
        truth = Truth(watts=lambda ms: 80 + 600 * ((ms // 47_000) % 2))
        rig.run(truth, restarts=(8 * 60_000,))
        told = self.stretches(rig)
        drawn = truth.millijoules(told[-1].end - NOON) - truth.millijoules(told[0].start - NOON)
        assert abs(total(each.use for each in told).millijoules - drawn) <= drawn // 100

    def test_what_was_not_read_is_absent_and_not_0(self, rig: SensorsRig) -> None:
        rig.run(Truth(is_read=lambda ms: not 6 * 60_000 <= ms < 10 * 60_000))
        told = self.stretches(rig)
        (gap,) = [each for each in told if each.use.covered_ms == 0]
        assert gap.end - gap.start >= 4 * 60_000
        assert (gap.use.utilization_ms, gap.use.percent_max, gap.use.memory_bytes_max) == (0, None, None)
        assert gap.use.energy_ms == gap.end - gap.start, "the counter went on"
        assert total(each.use for each in told).utilization_permille == 800

    def test_an_energy_counter_that_goes_back_is_absent_there(self, rig: SensorsRig) -> None:
        rig.run(Truth(energy_reset_ms=9 * 60_000))
        use = total(each.use for each in self.stretches(rig))
        assert use.covered_ms - 60_000 <= use.energy_ms < use.covered_ms
        assert use.mean_milliwatts == 300_000

    def test_a_value_that_is_missing_says_nothing_of_the_others(self, rig: SensorsRig) -> None:
        rig.run(Truth(has_energy=lambda _: False))
        use = total(each.use for each in self.stretches(rig))
        assert (use.energy_ms, use.millijoules, use.utilization_permille) == (0, 0, 800)

    def test_an_xid_is_told_once_with_a_time_that_has_it_whoever_starts_anew_afterwards(
        self, rig: SensorsRig
    ) -> None:
        came_ms = 7 * 60_000 + 11_000
        rig.run(Truth(xids={came_ms: 79, came_ms + 4 * 60_000: 31}), restarts=(9 * 60_000, 14 * 60_000))
        with rig.company.store.reading() as books:
            (fault,) = books.gpu_faults.since(Instant(0), 10)
        assert (fault.gpu_uuid, fault.node, fault.xid, fault.attempt_id) == (GPU, "n0", 79, None)
        assert fault.start < NOON + came_ms <= fault.end <= fault.start + 60_000
