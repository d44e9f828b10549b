"""What lies between two readings of a device, and the window that several of them make."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scheduler.domain.units import Instant, NodeName
from scheduler.metering.devices import Health
from scheduler.metering.samples import Activity, PodRef, ProcessUse, Sample, Utilization, UtilizationSource
from scheduler.metering.windows import (
    ActivityIntegral,
    EnergyIntegral,
    Flag,
    ProcessSeen,
    UtilizationIntegral,
    Window,
    largest,
)


@dataclass(frozen=True, slots=True)
class Interval:
    """From one reading to the next. In a gap the sampler was away: only the counter tells of it."""

    before: Sample
    after: Sample
    is_gap: bool

    @property
    def length_ms(self) -> int:
        return self.after.at - self.before.at

    @property
    def is_covered(self) -> bool:
        return not self.is_gap and self.before.health is Health.OK and self.after.health is Health.OK

    @property
    def energy_millijoules(self) -> int | None:
        """None where an end is unknown or the counter went back: a negative difference is a new epoch."""
        start, end = self.before.energy_millijoules, self.after.energy_millijoules
        return None if start is None or end is None or end < start else end - start

    @property
    def is_counter_reset(self) -> bool:
        start, end = self.before.energy_millijoules, self.after.energy_millijoules
        return start is not None and end is not None and end < start

    @property
    def new_ecc_errors(self) -> int | None:
        start, end = self.before.ecc_uncorrected, self.after.ecc_uncorrected
        return None if start is None or end is None or end < start else end - start


def window_of(intervals: tuple[Interval, ...], identity: tuple[NodeName, str, int]) -> Window:
    """The window over consecutive intervals. `identity` is (node, boot id, sequence)."""
    covered = [interval for interval in intervals if interval.is_covered]
    read = [interval.after for interval in covered]
    node, boot_id, sequence = identity
    last = intervals[-1].after
    return Window(
        node=node,
        boot_id=boot_id,
        gpu_uuid=last.gpu_uuid,
        sequence=sequence,
        start=intervals[0].before.at,
        end=last.at,
        covered_ms=sum(interval.length_ms for interval in covered),
        sample_count=len(read),
        health=_health(intervals),
        utilization=_utilization([s.utilization for s in read if s.utilization is not None]),
        activity=_activity([s.activity for s in read if s.activity is not None]),
        energy=_energy(intervals),
        power_milliwatts_max=largest(s.power_milliwatts for s in read),
        memory_used_bytes_max=largest(s.memory_used_bytes for s in read),
        memory_total_bytes=largest(s.memory_total_bytes for s in read),
        process_count_max=largest(None if s.processes is None else len(s.processes) for s in read),
        processes=_processes(read),
        is_clocked_idle=_all_idle(read),
        ecc_uncorrected=_sum(interval.new_ecc_errors for interval in intervals),
        xids=tuple(xid for interval in intervals for xid in interval.after.xids),
        flags=tuple(_flags(intervals, read)),
        granted=_granted(read),
    )


def _health(intervals: tuple[Interval, ...]) -> Health:
    sick = any(interval.after.health is Health.UNHEALTHY for interval in intervals)
    return Health.UNHEALTHY if sick else Health.OK


def _utilization(parts: list[Utilization]) -> UtilizationIntegral | None:
    if not parts:
        return None
    has_gauge = any(part.source is UtilizationSource.GAUGE for part in parts)
    return UtilizationIntegral(
        covered_ms=sum(part.covered_us for part in parts) // 1_000,
        percent_ms=sum(part.percent_us for part in parts) // 1_000,
        max_percent=max(part.max_percent for part in parts),
        source=UtilizationSource.GAUGE if has_gauge else UtilizationSource.SAMPLES,
    )


def _activity(parts: list[Activity]) -> ActivityIntegral | None:
    if not parts:
        return None
    return ActivityIntegral(
        covered_ms=sum(part.elapsed_us for part in parts) // 1_000,
        sm_permille_ms=_permille_ms((part.sm_permille, part.elapsed_us) for part in parts),
        occupancy_permille_ms=_permille_ms((part.occupancy_permille, part.elapsed_us) for part in parts),
        tensor_permille_ms=_permille_ms((part.tensor_permille, part.elapsed_us) for part in parts),
        dram_permille_ms=_permille_ms((part.dram_permille, part.elapsed_us) for part in parts),
    )


def _permille_ms(parts: Iterable[tuple[int | None, int]]) -> int | None:
    """The integral of one metric; None where any part lacks it, since a part cannot stand for the whole."""
    total = 0
    for permille, elapsed_us in parts:
        if permille is None:
            return None
        total += permille * elapsed_us
    return total // 1_000


def _energy(intervals: tuple[Interval, ...]) -> EnergyIntegral | None:
    known = [(interval.length_ms, interval.energy_millijoules) for interval in intervals]
    parts = [(length_ms, energy) for length_ms, energy in known if energy is not None]
    if not parts:
        return None
    return EnergyIntegral(
        covered_ms=sum(length_ms for length_ms, _ in parts), millijoules=sum(energy for _, energy in parts)
    )


def _processes(read: list[Sample]) -> tuple[ProcessSeen, ...] | None:
    """Everyone seen in any reading; None where no reading could list them."""
    listed = [sample for sample in read if sample.processes is not None]
    if not listed:
        return None
    uses: dict[tuple[int, int | None], list[ProcessUse]] = {}
    until: dict[tuple[int, int | None], Instant] = {}
    for sample in listed:
        for use in sample.processes or ():
            key = (use.pid, use.started_ticks)
            uses.setdefault(key, []).append(use)
            until[key] = sample.at
    return tuple(_seen(uses[key], until[key]) for key in sorted(uses, key=lambda key: (key[0], key[1] or 0)))


def _seen(uses: list[ProcessUse], until: Instant) -> ProcessSeen:
    last = uses[-1]
    return ProcessSeen(
        pid=last.pid,
        started_ticks=last.started_ticks,
        memory_bytes_max=largest(use.memory_bytes for use in uses),
        sm_percent_max=largest(use.sm_percent for use in uses),
        pod_uid=next((use.pod_uid for use in reversed(uses) if use.pod_uid is not None), None),
        container_id=next((use.container_id for use in reversed(uses) if use.container_id is not None), None),
        name=last.name,
        seen_until=until,
    )


def _granted(read: list[Sample]) -> tuple[PodRef, ...] | None:
    told = [sample.granted for sample in read if sample.granted is not None]
    return tuple(sorted({pod for granted in told for pod in granted})) if told else None


def _all_idle(read: list[Sample]) -> bool | None:
    hints = [sample.is_clocked_idle for sample in read]
    return None if not hints or None in hints else all(hints)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _flags(intervals: tuple[Interval, ...], read: list[Sample]) -> Iterator[Flag]:
    if any(interval.is_gap for interval in intervals):
        yield Flag.GAP
    if any(interval.is_counter_reset for interval in intervals):
        yield Flag.COUNTER_RESET
    if _health(intervals) is Health.UNHEALTHY:
        yield Flag.UNHEALTHY
    if any(s.utilization is not None and s.utilization.source is UtilizationSource.GAUGE for s in read):
        yield Flag.GAUGE
    if any(sample.processes is None for sample in read):
        yield Flag.NO_PROCESS_VIEW
    if any(interval.after.xids for interval in intervals):
        yield Flag.XID
    if any(interval.new_ecc_errors for interval in intervals):
        yield Flag.ECC
