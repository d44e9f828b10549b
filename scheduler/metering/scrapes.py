"""Windows of devices whose samples come late and in bulk, several scrapes at a time, as a store of metrics has them.

The same fold as the agent's. A window also ends where the device passes from one pod to another, so that no window has
two owners in turn, and where the device is not told of any more.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from scheduler.domain.units import GpuUuid, Instant
from scheduler.metering.integration import DeviceState, Integration, begin, close, observe
from scheduler.metering.samples import Sample
from scheduler.metering.windows import Window

States = Mapping[GpuUuid, DeviceState]
RulesOf = Callable[[GpuUuid], Integration]


@dataclass(frozen=True, slots=True)
class Followed:
    """The devices after some samples more, and the windows that these closed, in the order of their ends."""

    states: States
    windows: tuple[Window, ...]


def follow(states: States, samples: Iterable[Sample], until: Instant, rules_of: RulesOf) -> Followed:
    """`samples` are all that there are up to `until`; those of one device come in the order of time."""
    grown = dict(states)
    windows: list[Window] = []
    for sample in samples:
        known = grown.get(sample.gpu_uuid)
        if known is None:
            grown[sample.gpu_uuid] = begin(sample)
        elif known.is_resumed and known.last.at == sample.at:
            # The very scrape at which the last window ended before we were started again: nothing lies between.
            grown[sample.gpu_uuid] = DeviceState(known.sequence, sample)
        else:
            grown[sample.gpu_uuid], closed = _observe(known, sample, rules_of(sample.gpu_uuid))
            windows += closed
    for uuid, state in grown.items():
        if state.intervals and until - state.last.at > rules_of(uuid).gap_ms:
            grown[uuid], closed = close(state, rules_of(uuid))
            windows += closed
    return Followed(grown, tuple(sorted(windows, key=lambda window: window.end)))


def _observe(state: DeviceState, sample: Sample, rules: Integration) -> tuple[DeviceState, tuple[Window, ...]]:
    before: tuple[Window, ...] = ()
    if state.intervals and sample.granted != state.last.granted:
        state, before = close(state, rules)
    after, windows = observe(state, sample, rules)
    return after, before + windows
