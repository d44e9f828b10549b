"""From samples to windows: a fold over one device's samples, in the order in which they were taken.

`observe` takes what is known of the device and its next sample, and returns what is known now with the windows
that this closed. A window closes at the first sample at or after its full length, so that no sample's integral is
ever cut in two.
"""

from dataclasses import dataclass, replace

from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.metering.admission import FUTURE_MS_MAX
from scheduler.metering.intervals import Interval, window_of
from scheduler.metering.samples import Sample
from scheduler.metering.windows import Window


@dataclass(frozen=True, slots=True)
class Integration:
    """How samples of a node become windows: each `window_ms` long; a pause over `gap_ms` is not covered."""

    node: NodeName
    boot_id: str
    window_ms: int
    gap_ms: int


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a device's last window ended: what must outlive the agent for the next to follow on."""

    gpu_uuid: GpuUuid
    sequence: int
    end: Instant
    energy_millijoules: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceState:
    """A device between two samples. `is_resumed`: the last was another agent's, of which only a mark is known."""

    sequence: int
    last: Sample
    intervals: tuple[Interval, ...] = ()
    is_resumed: bool = False


def begin(sample: Sample) -> DeviceState:
    """A device seen for the first time in this boot.

    Sequences need only grow. They start at the second of the first sample, so that an agent that lost its disk
    goes on above every sequence it may have used.
    """
    return DeviceState(sequence=sample.at // 1_000, last=sample)


def resume(mark: Mark) -> DeviceState:
    """A device that an agent of the same boot left at a mark. What happened since is a gap with known energy."""
    last = Sample(mark.gpu_uuid, mark.end, energy_millijoules=mark.energy_millijoules)
    return DeviceState(sequence=mark.sequence, last=last, is_resumed=True)


def observe(state: DeviceState, sample: Sample, rules: Integration) -> tuple[DeviceState, tuple[Window, ...]]:
    """The next sample of the device. One that is not newer than the last is ignored: the clock went back. Where it went
    back far, it was ahead before: what it stamped nobody takes, and to wait for it would lose as much again."""
    elapsed_ms = sample.at - state.last.at
    if elapsed_ms < -FUTURE_MS_MAX:
        closed, windows = close(state, rules)
        return DeviceState(closed.sequence, sample), windows
    if elapsed_ms <= 0:
        return state, ()
    if state.is_resumed or elapsed_ms > rules.gap_ms:
        return _over_gap(state, sample, rules)
    grown = DeviceState(state.sequence, sample, (*state.intervals, Interval(state.last, sample, is_gap=False)))
    if sample.at - grown.intervals[0].before.at < rules.window_ms:
        return grown, ()
    return close(grown, rules)


def close(state: DeviceState, rules: Integration) -> tuple[DeviceState, tuple[Window, ...]]:
    """End the open window at the last sample, whatever its length: the agent stops, or the device went away."""
    if not state.intervals:
        return state, ()
    sequence = state.sequence + 1
    window = window_of(state.intervals, (rules.node, rules.boot_id, sequence))
    return DeviceState(sequence=sequence, last=state.last), (window,)


def mark_of(state: DeviceState) -> Mark:
    """What to keep of a device whose last window was just closed."""
    last = state.last if not state.intervals else state.intervals[0].before
    return Mark(last.gpu_uuid, state.sequence, last.at, last.energy_millijoules)


def _over_gap(state: DeviceState, sample: Sample, rules: Integration) -> tuple[DeviceState, tuple[Window, ...]]:
    """The open window ends before the gap; the gap is a window of its own, with nothing covered but the energy."""
    closed, before = close(state, rules)
    gap = replace(closed, last=sample, intervals=(Interval(state.last, sample, is_gap=True),))
    after, windows = close(gap, rules)
    return after, before + windows
