"""What windows add up to: of a device, of an attempt, over an hour or a lifetime.

Sums never round: a mean is made at the very end, by whoever shows it. What nobody read adds nothing, so each sum
stands beside the time for which it was read.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, Final

from scheduler.domain.units import MS_PER_HOUR, AttemptId, GpuUuid, Instant, NodeName
from scheduler.metering.idle import IdleState
from scheduler.metering.samples import UtilizationSource
from scheduler.metering.spells import Spell
from scheduler.metering.windows import Window, largest


@dataclass(frozen=True, slots=True)
class Use:
    """Sums in milliseconds (of one GPU) and millijoules; `…_max` are high-water marks, None where nothing was read.

    `active_ms`, `idle_held_ms`, `hung_ms` and `unknown_ms` are the time in each state. `utilization_ms`, `sm_ms` and
    `energy_ms` say for how long each reading covers; `percent_ms / utilization_ms` is mean utilisation, and
    `sm_permille_ms / sm_ms` the mean share of active multiprocessors, where the hardware tells.
    """

    windows: int = 0
    covered_ms: int = 0
    active_ms: int = 0
    idle_held_ms: int = 0
    hung_ms: int = 0
    unknown_ms: int = 0
    utilization_ms: int = 0
    percent_ms: int = 0
    percent_max: int | None = None
    sm_ms: int = 0
    sm_permille_ms: int = 0
    energy_ms: int = 0
    millijoules: int = 0
    milliwatts_max: int | None = None
    memory_bytes_max: int | None = None
    cpu_millicores_max: int | None = None

    @property
    def told_ms(self) -> int:
        """All the time that windows tell of, read or not."""
        return self.active_ms + self.idle_held_ms + self.hung_ms + self.unknown_ms

    @property
    def utilization_permille(self) -> int | None:
        """Mean utilisation: the share of time in which at least one kernel ran."""
        return None if self.utilization_ms == 0 else self.percent_ms * 10 // self.utilization_ms

    @property
    def sm_permille(self) -> int | None:
        return None if self.sm_ms == 0 else self.sm_permille_ms // self.sm_ms

    @property
    def mean_milliwatts(self) -> int | None:
        return None if self.energy_ms == 0 else self.millijoules * 1_000 // self.energy_ms


MARKS: Final = tuple(field.name for field in fields(Use) if field.name.endswith("_max"))
SUMS: Final = tuple(field.name for field in fields(Use) if field.name not in MARKS)

STATE_FIELD: Final = {
    IdleState.ACTIVE: "active_ms",
    IdleState.IDLE_HELD: "idle_held_ms",
    IdleState.SUSPECTED_HUNG: "hung_ms",
    IdleState.UNKNOWN: "unknown_ms",
}


def use_of(window: Window, state: IdleState, cpu_millicores: int | None = None) -> Use:
    """One window's share in any sum. `cpu_millicores` is what the device's attempt used of the node's CPUs."""
    utilization, activity, energy = window.utilization, window.activity, window.energy
    sm_permille_ms = None if activity is None else activity.sm_permille_ms
    in_state = {STATE_FIELD[state]: window.end - window.start}
    return Use(
        windows=1,
        covered_ms=window.covered_ms,
        utilization_ms=0 if utilization is None else utilization.covered_ms,
        percent_ms=0 if utilization is None else utilization.percent_ms,
        percent_max=None if utilization is None else utilization.max_percent,
        sm_ms=0 if activity is None or sm_permille_ms is None else activity.covered_ms,
        sm_permille_ms=sm_permille_ms or 0,
        energy_ms=0 if energy is None else energy.covered_ms,
        millijoules=0 if energy is None else energy.millijoules,
        milliwatts_max=window.power_milliwatts_max,
        memory_bytes_max=window.memory_used_bytes_max,
        cpu_millicores_max=cpu_millicores,
        **in_state,
    )


def total(uses: Iterable[Use]) -> Use:
    """Sums added up, marks at their highest."""
    known = list(uses)
    sums: dict[str, Any] = {name: sum(getattr(use, name) for use in known) for name in SUMS}
    marks: dict[str, Any] = {name: largest(getattr(use, name) for use in known) for name in MARKS}
    return Use(**sums, **marks)


@dataclass(frozen=True, slots=True)
class Metered:
    """A window as it was judged and attributed; `attempt_id` None is unattributed. `has_work`: something in it tells of
    work, whatever the state says."""

    window: Window
    state: IdleState
    attempt_id: AttemptId | None = None
    has_work: bool = False
    cpu_millicores: int | None = None

    @property
    def spell(self) -> Spell:
        window = self.window
        is_gauged = window.utilization is not None and window.utilization.source is UtilizationSource.GAUGE
        gauge_ms = window.covered_ms // max(1, window.sample_count) if is_gauged else None
        return Spell(window.start, window.end, self.state, self.has_work, self.cpu_millicores, gauge_ms)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is kept of one window: a device from `start` to `end`, whose it was, and its share in the sums."""

    gpu_uuid: GpuUuid
    start: Instant
    end: Instant
    sequence: int
    process_count: int | None
    attempt_id: AttemptId | None
    state: IdleState
    use: Use


@dataclass(frozen=True, slots=True)
class HourOfUse:
    """A device in the hour that begins at `hour`, for one attempt or for nobody. A window counts in the hour in which
    it starts."""

    gpu_uuid: GpuUuid
    node: NodeName
    hour: Instant
    attempt_id: AttemptId | None
    use: Use


def hourly(metered: Iterable[Metered]) -> list[HourOfUse]:
    """The windows by device, hour and attempt, in that order."""
    parts: dict[tuple[GpuUuid, int, str], list[Metered]] = {}
    for item in metered:
        start = item.window.start
        key = (item.window.gpu_uuid, start - start % MS_PER_HOUR, item.attempt_id or "")
        parts.setdefault(key, []).append(item)
    return [
        HourOfUse(
            gpu_uuid=uuid,
            node=items[-1].window.node,
            hour=Instant(hour),
            attempt_id=items[-1].attempt_id,
            use=total(use_of(item.window, item.state, item.cpu_millicores) for item in items),
        )
        for (uuid, hour, _), items in sorted(parts.items())
    ]
